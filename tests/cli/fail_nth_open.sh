#!/usr/bin/env bash
# The example fail_nth_open makes the Nth openat of a program fail, that one and no other. Row C1.
set -euo pipefail
. "$(dirname "$0")/support.sh"
example=$REIN_BUILD/examples/fail_nth_open

for name in one two three; do
    echo "$name" >"$name"
done
cat >opens.c <<'END'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        printf("%s: %s\n", argv[i], syscall(SYS_openat, AT_FDCWD, argv[i], O_RDONLY) < 0 ? strerror(errno) : "there");
    return 7;
}
END
tracee -static -o opens opens.c # no loader, which opens libraries
for n in 1 2 3 4; do
    ends 7 "$example" "$n" ./opens one two three
    number=0
    for name in one two three; do
        number=$((number + 1))
        if [ "$number" = "$n" ]; then
            has out "^$name: No such file or directory$" 1
        else
            has out "^$name: there$" 1
        fi
    done
done
ends 125 "$example" 0 true
ends 125 "$example" 1 /no/such/program
has err /no/such/program
