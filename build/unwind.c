/*
 * The unwinder of programs that have nothing to unwind.
 *
 * Rust's standard library for musl asks for libunwind, for backtraces and for
 * panics that unwind. The programs of an image have neither (panic = "abort",
 * no tables), so this stands in for it: the functions of the Itanium C++ ABI,
 * level 1 (https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html), for a stack
 * without frames. build/guest.sh compiles it.
 */

/* _URC_END_OF_STACK: there is no further frame. */
enum { END_OF_STACK = 5 };

int _Unwind_Backtrace(void *visit, void *argument) { return END_OF_STACK; }
int _Unwind_RaiseException(void *exception) { return END_OF_STACK; }
int _Unwind_ForcedUnwind(void *exception, void *stop, void *argument) { return END_OF_STACK; }
/* Its callers take it that it does not return. */
void _Unwind_Resume(void *exception) { __builtin_trap(); }
void _Unwind_DeleteException(void *exception) {}

unsigned long _Unwind_GetGR(void *context, int index) { return 0; }
void _Unwind_SetGR(void *context, int index, unsigned long value) {}
unsigned long _Unwind_GetIP(void *context) { return 0; }
unsigned long _Unwind_GetIPInfo(void *context, int *before) { return 0; }
void _Unwind_SetIP(void *context, unsigned long value) {}
unsigned long _Unwind_GetCFA(void *context) { return 0; }
unsigned long _Unwind_GetRegionStart(void *context) { return 0; }
unsigned long _Unwind_GetTextRelBase(void *context) { return 0; }
unsigned long _Unwind_GetDataRelBase(void *context) { return 0; }
void *_Unwind_GetLanguageSpecificData(void *context) { return 0; }
void *_Unwind_FindEnclosingFunction(void *pc) { return 0; }
