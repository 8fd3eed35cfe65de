# bash completion for rein. SPDX-License-Identifier: BSD-3-Clause

_rein_pids() {
    mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$1")
}

# The symbols of these types that a program defines, once it is on the command line.
_rein_symbols() {
    local word i program=
    for ((i = 2; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            -b | --break | -e | --events | --ignore | --limit | -o | --output | -p | --pid | --print | -w | --watch) ((i++)) ;;
            -*) ;;
            *) program=$word && break ;;
        esac
    done
    for ((i = COMP_CWORD + 1; i < ${#COMP_WORDS[@]} && ${#program} == 0; i++)); do
        [[ ${COMP_WORDS[i]} == -* ]] || program=${COMP_WORDS[i]}
    done
    program=$(type -P -- "${program/#\~/$HOME}" 2>/dev/null) || return
    mapfile -t COMPREPLY < <(compgen -W "$(nm --defined-only -- "$program" 2>/dev/null |
        awk -v types="$2" 'index(types, $2) { print $3 }')" -- "$1")
}

_rein() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
    COMPREPLY=()

    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'trace threads stack regs serve notes --help --version' -- "$word")
        return
    fi
    case ${COMP_WORDS[1]} in
        threads | stack)
            if [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--json --stack --help' -- "$word")
            else
                _rein_pids "$word"
            fi
            return
            ;;
        regs)
            case $previous in
                -l | --lanes)
                    mapfile -t COMPREPLY < <(compgen -W 'int8 int16 int32 int64 int128 float16 bfloat16 float32
                        float64' -- "$word")
                    ;;
                -t | --thread) ;;
                *)
                    if [[ $word == -* ]]; then
                        mapfile -t COMPREPLY < <(compgen -W '--all --help --json --lanes --thread' -- "$word")
                    elif [[ $previous == regs ]]; then
                        _rein_pids "$word"
                    else
                        mapfile -t COMPREPLY < <(compgen -W 'general segment system float vector mask tile' -- "$word")
                    fi
                    ;;
            esac
            return
            ;;
        serve)
            case $previous in
                -p | --pid) _rein_pids "$word" ;;
                --gone) mapfile -t COMPREPLY < <(compgen -W 'detach kill keep' -- "$word") ;;
                -l | --listen | --wrapper) ;;
                *)
                    if [[ $word == -* ]]; then
                        mapfile -t COMPREPLY < <(compgen -W '--aslr --debug --gone --help --listen --multi --once --pid
                            --quiet --shell --wrapper' -- "$word")
                    else
                        mapfile -t COMPREPLY < <(compgen -c -- "$word")
                    fi
                    ;;
            esac
            return
            ;;
        notes)
            mapfile -t COMPREPLY < <(compgen -W '--check --json --mdoc --help' -- "$word")
            return
            ;;
        trace) ;;
        *) return ;;
    esac

    # Behind COMMAND its own completion has the word.
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -b | --break | -e | --events | --ignore | --limit | -o | --output | -p | --pid | --print | -w | --watch) ((i++)) ;;
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
        -b | --break) _rein_symbols "$word" Tt ;;
        -w | --watch) _rein_symbols "$word" BbDd ;;
        -o | --output) compopt -o default ;;
        -e | --events)
            local done=
            [[ $word == *,* ]] && done=${word%,*},
            mapfile -t COMPREPLY < <(compgen -P "$done" \
                -W 'breakpoint watchpoint signal thread exec fork exit group-stop all none syscall=' -- "${word##*,}")
            compopt -o nospace
            ;;
        *)
            if [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--break --count --events --follow --help --ignore --json --limit --no-aslr --output
                    --pid --print --seccomp --software-watch --stack --threads --watch' -- "$word")
            else
                mapfile -t COMPREPLY < <(compgen -c -- "$word")
                [[ $word != */* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
            fi
            ;;
    esac
}

complete -F _rein rein
