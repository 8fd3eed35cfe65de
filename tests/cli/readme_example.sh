#!/usr/bin/env bash
# The README's example is examples/readme_example.c, compiles with the flags that pkg-config gives, and tells what the
# threads of a program do. Rows P9, P5, P6, C1, C2.
set -euo pipefail
. "$(dirname "$0")/support.sh"

sed -n '/^<!-- example -->$/,/^```$/p' "$REIN_SOURCE/README.md" | sed '1,2d;$d' >example.c
diff -u "$REIN_SOURCE/examples/readme_example.c" example.c

install_here
flags_from --cflags --libs
compile -Wall -Wextra -Werror -o example example.c "${flags[@]}"

timeout 30 ./example "$REIN_BUILD/examples/demo_workers" >out
cat out
[ "$(grep -c ': thread create$' out)" = 4 ]
[ "$(grep -c ': thread exited with status 0$' out)" = 5 ]
grep -q ': SIGALRM$' out
grep -q '^33860 primes below 400000' out

status=0
timeout 30 ./example /nonexistent >out 2>err || status=$?
[ "$status" = 1 ]
grep -q /nonexistent err
