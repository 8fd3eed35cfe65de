#!/usr/bin/env bash
# What meson install puts in place is complete, and a program can be built against it, with the shared library and
# with the static one, whose internal names do not clash with the program's.
set -euo pipefail
. "$(dirname "$0")/support.sh"

install_here
for pattern in bin/rein include/rein/rein.h include/rein/seccomp.h 'librein-seccomp\.so' pkgconfig/rein-seccomp.pc 'librein\.so' 'librein\.so\.0' 'librein\.a' pkgconfig/rein.pc \
    man1/rein.1 man1/rein-trace.1 man1/rein-notes.1 man3/rein.3 man7/rein-notes.7 bash-completion/completions/rein zsh/site-functions/_rein; do
    find root | grep -q "/$pattern\(\.gz\)\?$" || { echo "not installed: $pattern"; exit 1; }
done
[ "$(find root -name '*.h' | wc -l)" = 2 ]

# Names of functions inside the library, taken for the program's own.
mapfile -t names < <(nm "$REIN_BUILD/src/librein-internal.a" | sed -n 's/.* T \(monitor_\|thread_\|process_\)/\1/p' | sort -u)
[ "${#names[@]}" -gt 0 ]
{
    echo '#include <rein/rein.h>'
    echo '#include <stdio.h>'
    for name in "${names[@]}"; do
        echo "int $name(void); int $name(void) { return 1; }"
    done
    echo 'int main(void) { return puts(rein_version()) < 0; }'
} >program.c

version=$(pkg-config --modversion rein)
flags_from --cflags --libs
compile -o shared program.c "${flags[@]}"
readelf -d shared | grep -q 'librein\.so\.0'
[ "$(./shared)" = "$version" ]

flags_from --static --cflags --libs
compile -o static program.c "${flags[@]/#-lrein/-l:librein.a}"
[ "$(readelf -d static | grep -c librein)" = 0 ]
[ "$(./static)" = "$version" ]
