/*
 * libseccomp as a test peer: reads filters in words, writes them as BPF.
 *
 *   filter DEFAULT-ACTION                       begins one, without architectures
 *   arch TOKEN
 *   rule ACTION NAME COUNT [INDEX OP A B]...    as runc adds it
 *   end                                         "ok LENGTH\n", then that many bytes
 *
 * Numbers are decimal, actions the kernel's SECCOMP_RET_ values. A rule that
 * libseccomp refuses makes the answer "refused\n"; a name that it does not know
 * is answered "unknown NAME\n" at once.
 */
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add(scmp_filter_ctx filter)
{
	uint32_t action;
	char name[64];
	unsigned count;
	struct scmp_arg_cmp conditions[6];

	if (scanf("%" SCNu32 " %63s %u", &action, name, &count) != 3 || count > 6)
		exit(2);
	for (unsigned i = 0; i < count; i++) {
		unsigned index, op;
		uint64_t a, b;

		if (scanf("%u %u %" SCNu64 " %" SCNu64, &index, &op, &a, &b) != 4)
			exit(2);
		conditions[i] = (struct scmp_arg_cmp){index, op, a, b};
	}
	int number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR) {
		printf("unknown %s\n", name);
		return 0;
	}
	return seccomp_rule_add_array(filter, action, number, count, conditions);
}

static void finish(scmp_filter_ctx filter)
{
	int pipe_ends[2];
	static char program[1 << 16];
	ssize_t length;

	if (pipe(pipe_ends) || seccomp_export_bpf(filter, pipe_ends[1]))
		exit(3);
	close(pipe_ends[1]);
	length = read(pipe_ends[0], program, sizeof program);
	close(pipe_ends[0]);
	printf("ok %zd\n", length);
	fwrite(program, 1, length, stdout);
}

int main(void)
{
	char word[16];
	scmp_filter_ctx filter = NULL;
	int refused = 0;

	seccomp_api_set(6);
	while (scanf("%15s", word) == 1) {
		uint32_t number;

		if (!strcmp(word, "rule")) {
			refused |= add(filter);
		} else if (!strcmp(word, "filter") && scanf("%" SCNu32, &number) == 1) {
			filter = seccomp_init(number);
			refused = !filter || seccomp_arch_remove(filter, SCMP_ARCH_NATIVE);
		} else if (!strcmp(word, "arch") && scanf("%" SCNu32, &number) == 1) {
			refused |= seccomp_arch_add(filter, number);
		} else if (!strcmp(word, "end")) {
			if (refused)
				printf("refused\n");
			else
				finish(filter);
			seccomp_release(filter);
			fflush(stdout);
		} else {
			return 2;
		}
	}
	return 0;
}
