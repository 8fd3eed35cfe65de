# bash completion for rein. SPDX-License-Identifier: BSD-3-Clause

_rein_pids() {
    mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$1")
}

# The functions that a program defines, once it is on the command line.
_rein_locations() {
    local word i program=
    for ((i = 2; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            -b | --break | -e | --events | -o | --output | -p | --pid) ((i++)) ;;
            -*) ;;
            *) program=$word && break ;;
        esac
    done
    for ((i = COMP_CWORD + 1; i < ${#COMP_WORDS[@]} && ${#program} == 0; i++)); do
        [[ ${COMP_WORDS[i]} == -* ]] || program=${COMP_WORDS[i]}
    done
    program=$(type -P -- "${program/#\~/$HOME}" 2>/dev/null) || return
    mapfile -t COMPREPLY < <(compgen -W "$(nm --defined-only -- "$program" 2>/dev/null |
        awk '$2 ~ /^[Tt]$/ { print $3 }')" -- "$1")
}

_rein() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
    COMPREPLY=()

    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'trace threads --help --version' -- "$word")
        return
    fi
    case ${COMP_WORDS[1]} in
        threads)
            if [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$word")
            else
                _rein_pids "$word"
            fi
            return
            ;;
        trace) ;;
        *) return ;;
    esac

    # Behind COMMAND its own completion has the word.
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -b | --break | -e | --events | -o | --output | -p | --pid) ((i++)) ;;
            --)
                ((i++))
                break
                ;;
            -*) ;;
            *) break ;;
        esac
    done
    if ((i < COMP_CWORD)); then
        if declare -F _command_offset >/dev/null; then
            _command_offset "$i"
        else
            compopt -o default
        fi
        return
    fi
    if [[ ${COMP_WORDS[COMP_CWORD - 1]} == -- ]]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$word")
        return
    fi

    case $previous in
        -p | --pid) _rein_pids "$word" ;;
        -b | --break) _rein_locations "$word" ;;
        -o | --output) compopt -o default ;;
        -e | --events)
            local done=
            [[ $word == *,* ]] && done=${word%,*},
            mapfile -t COMPREPLY < <(compgen -P "$done" \
                -W 'breakpoint signal thread exec fork exit group-stop all none syscall=' -- "${word##*,}")
            compopt -o nospace
            ;;
        *)
            if [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--break --count --events --follow --help --json --no-aslr --seccomp --output
                    --pid --threads' -- "$word")
            else
                mapfile -t COMPREPLY < <(compgen -c -- "$word")
                [[ $word != */* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
            fi
            ;;
    esac
}

complete -F _rein rein
