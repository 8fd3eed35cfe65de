#!/usr/bin/env bash
# gdb's machine interface on rein's server, in the order in which the engine of VS Code's cpptools (MIEngine) and Emacs's gdb-mi use
# it: a program that the server has, one that it attached to, and one that gdb has it start.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
is_32_bit && skip "gdb is the machine's own"
command -v gdb >/dev/null || skip "no gdb"
command -v python3 >/dev/null || skip "no python3"

cp "$here/programs/squares.c" program.c
tracee -O0 -no-pie -fno-pie -o program program.c -pthread

cat >client.py <<'PYTHON'
import os
import re
import select
import subprocess
import sys

LIMIT = 60
REIN = os.environ['REIN_BINARY']
with open('program.c', encoding='utf-8') as file:
    LINES = file.read().split('\n')


def line_of(text):
    return [i + 1 for i, line in enumerate(LINES) if text in line][0]


class Gdb:
    """One gdb -i=mi: commands with a token, their results, and the records that come of their own accord."""

    def __init__(self):
        self.process = subprocess.Popen(['gdb', '-q', '-nx', '-i=mi'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.token, self.records, self.pending = 0, [], b''

    def line(self):
        while b'\n' not in self.pending:
            ready = select.select([self.process.stdout], [], [], LIMIT)[0]
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b''
            if not data:
                sys.exit(f'gdb says nothing more; last: {self.records[-20:]}')
            self.pending += data
        line, self.pending = self.pending.split(b'\n', 1)
        return line.decode(errors='replace')

    def do(self, command, wanted='done'):
        self.token += 1
        self.process.stdin.write(f'{self.token}{command}\n'.encode())
        self.process.stdin.flush()
        while not (line := self.line()).startswith(f'{self.token}^'):
            self.records.append(line)
        if not line.startswith(f'{self.token}^{wanted}'):
            sys.exit(f'{command}: {line}\n' + '\n'.join(self.records[-20:]))
        return line

    def wait(self, pattern):
        while True:
            for i, record in enumerate(self.records):
                if re.search(pattern, record):
                    del self.records[:i + 1]
                    return record
            self.records.append(self.line())

    def stop(self, pattern=''):
        return self.wait(r'^\*stopped.*' + pattern)


def serve(*options):
    server = subprocess.Popen([REIN, 'serve', '--once', *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        if found := re.match(r'Listening on port (\d+)', line):
            return server, f'localhost:{found.group(1)}'
    sys.exit('the server has not started')


def session(kind):
    gdb, waiting = Gdb(), None
    for setting in ('-gdb-set mi-async on', '-gdb-set pagination off', '-gdb-set print sevenbit-strings on',
                    '-gdb-set breakpoint pending on', '-enable-pretty-printing', '-gdb-set confirm off',
                    f'-environment-cd {os.getcwd()}', '-file-exec-and-symbols program', '-gdb-set debuginfod enabled off'):
        gdb.do(setting)
    if kind == 'attach':
        waiting = subprocess.Popen(['./program', 'wait'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        waiting.stdout.readline()
        server, where = serve('-p', str(waiting.pid))
        waiting.stdin.close()
        gdb.do(f'-target-select remote {where}', 'connected')
        gdb.stop()
    elif kind == 'start':
        server, where = serve('--multi')
        gdb.do(f'-target-select extended-remote {where}', 'connected')
        gdb.do(f'-gdb-set remote exec-file {os.path.realpath("program")}')
        gdb.do('-exec-arguments one "two words"')
    else:
        server, where = serve('--', './program', 'served')
        gdb.do(f'-target-select remote {where}', 'connected')
        gdb.stop()

    # By line, with a condition that the server evaluates; by name; by an address.
    hit = gdb.do(f'-break-insert -f -c "value == 4" program.c:{line_of("// squares")}')
    number = re.search(r'number="(\d+)"', hit).group(1)
    assert f'line="{line_of("// squares")}"' in hit, hit
    assert 'func="main"' in gdb.do('-break-insert -t main')
    gdb.do('-exec-run' if kind == 'start' else '-exec-continue', 'running')
    if kind != 'attach': # that one is in main already
        stop = gdb.stop()
        assert 'reason="breakpoint-hit"' in stop and 'func="main"' in stop, stop
        gdb.do('-exec-continue', 'running')
    stop = gdb.stop()
    assert f'bkptno="{number}"' in stop and 'args=[{name="value",value="4"}]' in stop, stop

    # The panes of a debugger: threads, stack, variables, registers, memory, instructions.
    threads = gdb.do('-thread-info')
    assert threads.count('{id=') == 2 and 'state="stopped"' in threads, threads
    frames = gdb.do('-stack-list-frames 0 10')
    assert re.search('level="0".*func="square".*level="1".*func="main"', frames), frames
    assert gdb.do('-stack-info-depth').endswith('depth="2"')
    gdb.do('-stack-select-frame 1')
    assert re.search('name="sum",.*value="14"', gdb.do('-stack-list-variables --simple-values'))
    gdb.do('-stack-select-frame 0')
    assert 'value="4"' in gdb.do('-var-create v * value')
    assert 'value="5"' in gdb.do('-var-assign v 5')
    assert 'numchild="3"' in gdb.do('-var-create o * origin')
    assert re.search(r'exp="x".*value="3".*exp="y".*value="4"', gdb.do('-var-list-children --all-values o'))
    gdb.do('-var-assign o.y 40')
    assert 'value="40"' in gdb.do('-data-evaluate-expression origin.y')
    assert 'value="49"' in gdb.do('-data-evaluate-expression square(7)')
    assert re.search('name="o.y",value="40"|name="v",value="5"', gdb.do('-var-update --all-values *'))
    memory = gdb.do('-data-read-memory-bytes &origin 12')
    assert 'contents="03000000280000006f726967"' in memory, memory
    gdb.do('-data-write-memory-bytes &origin.x 09000000')
    assert 'value="9"' in gdb.do('-data-evaluate-expression origin.x')
    gdb.do('-data-list-register-names')
    assert re.search(r'number="16",value="0x', gdb.do('-data-list-register-values x'))
    assert 'inst="' in gdb.do('-data-disassemble -s $pc -e "$pc + 16" -- 0')

    # Steps.
    gdb.do('-exec-next', 'running')
    assert 'reason="end-stepping-range"' in (stop := gdb.stop()) and 'func="square"' in stop, stop
    gdb.do('-exec-step-instruction', 'running')
    gdb.stop()
    gdb.do('-exec-finish', 'running')
    assert 'reason="function-finished"' in (stop := gdb.stop()) and 'func="main"' in stop, stop
    gdb.do(f'-break-delete {number}')
    gdb.do('-exec-continue', 'running')
    assert 'exit-code="052"' in gdb.stop('reason="exited'), 'octal 42'
    if kind == 'start': # and once more, and interrupted
        gdb.do('-exec-arguments wait')
        gdb.do('-break-insert -t worker')
        gdb.do('-exec-run', 'running')
        gdb.stop('func="worker"')
        gdb.do('-exec-continue --all', 'running')
        gdb.do('-exec-interrupt --all')
        gdb.stop('(signal-name="SIGINT"|signal-name="0")')
        gdb.do('-interpreter-exec console kill')
    gdb.do('-gdb-exit', 'exit')
    gdb.process.wait(LIMIT)
    server.wait(LIMIT)
    if waiting:
        waiting.wait(LIMIT)
        waiting.stdout.close()


session(sys.argv[1])
PYTHON
for kind in launch attach start; do
    timeout 150 python3 client.py "$kind" || fail "$kind"
done
