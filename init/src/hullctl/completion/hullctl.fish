# fish completion for hullctl
function __hullctl_entries
    hullctl list 2>/dev/null | awk 'NR > 1 { print $2 }'
end
set -l commands list status top events logs wait start stop restart exec kill reexec poweroff reboot halt kexec version completion
complete -c hullctl -f
complete -c hullctl -l json -d 'print JSON'
complete -c hullctl -l timeout -x -d 'seconds to wait'
complete -c hullctl -s h -l help
complete -c hullctl -n "not __fish_seen_subcommand_from $commands" -a "$commands"
complete -c hullctl -n '__fish_seen_subcommand_from status logs wait start stop restart exec kill' -a '(__hullctl_entries)'
complete -c hullctl -n '__fish_seen_subcommand_from logs' -s f -l follow
complete -c hullctl -n '__fish_seen_subcommand_from logs' -s n -l lines -x
complete -c hullctl -n '__fish_seen_subcommand_from logs' -l since -x
complete -c hullctl -n '__fish_seen_subcommand_from kill' -s s -l signal -x -a 'HUP INT QUIT KILL USR1 USR2 TERM STOP CONT'
complete -c hullctl -n '__fish_seen_subcommand_from start stop restart' -l no-wait
complete -c hullctl -n '__fish_seen_subcommand_from poweroff reboot halt kexec' -l wait
complete -c hullctl -n '__fish_seen_subcommand_from reexec' -F
complete -c hullctl -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
