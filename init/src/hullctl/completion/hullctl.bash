# bash completion for hullctl
_hullctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word
    local commands="list status top events logs wait start stop restart exec kill reexec
        poweroff reboot halt kexec version completion help"
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || { command=$word; break; }
    done
    local IFS=$' \t\n'
    case $prev in
    -s | --signal) COMPREPLY=($(compgen -W "HUP INT QUIT KILL USR1 USR2 TERM STOP CONT" -- "$cur")); return ;;
    -n | --lines | --since | --timeout) return ;;
    esac
    case $command in
    "") COMPREPLY=($(compgen -W "$commands --json --timeout --help" -- "$cur")) ;;
    status | wait | exec | start | stop | restart | kill | logs)
        local options="--json"
        case $command in
        logs) options="--json --follow --lines --since" ;;
        kill) options="--json --signal" ;;
        start | stop | restart) options="--json --no-wait" ;;
        wait) options="--json --timeout" ;;
        esac
        local names=$(hullctl list 2>/dev/null | awk 'NR > 1 { print $2 }')
        COMPREPLY=($(compgen -W "$names $options" -- "$cur"))
        ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur")) ;;
    reexec) COMPREPLY=($(compgen -f -- "$cur")) ;;
    poweroff | reboot | halt | kexec) COMPREPLY=($(compgen -W "--wait --json" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "--json" -- "$cur")) ;;
    esac
}
complete -F _hullctl hullctl
