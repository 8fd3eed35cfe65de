"""Sessions of gdb and lldb, recorded between them and rein-gdbserver: see tests/fuzz/record, which runs it in the sandbox."""
import faulthandler
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import time

OUT = sys.argv[1]
PROGRAM_ID = 1000
GDBSERVER, MULTI, NOTHING, ATTACH, ONCE = 1, 2, 4, 8, 32  # enum start
SERVER, PROXY = '/tmp/server', '/tmp/proxy'

GDB = {
    'break': 'break work|continue|backtrace|info registers|next|finish|delete|continue|continue',
    'condition': 'break work if (long)counter > 1|break inner if $rax == 2|continue|continue|info breakpoints|kill',
    'print': 'set dprintf-style agent|dprintf work,"counter %ld\\n", (long)counter|continue|continue',
    'watch': 'watch counter|continue|continue|rwatch handled|continue|delete|continue',
    'hbreak': 'hbreak work|continue|stepi|stepi|nexti|detach',
    'signal': 'handle SIGUSR1 nostop noprint pass|handle SIGSEGV stop|continue',
    'signals': 'continue|print $_siginfo|set var $_siginfo.si_signo=10|signal 0|continue',
    'fork': 'set detach-on-fork off|set follow-fork-mode child|catch fork|continue|info inferiors|continue|kill inferiors 1',
    'follow': 'set follow-fork-mode child|break child|continue|backtrace|continue',
    'syscalls': 'catch syscall getpid|continue|continue|catch syscall|continue|delete|kill',
    'threads': 'break thread|continue|info threads|thread 1|backtrace|thread apply all stepi|set scheduler-locking on|next|kill',
    'memory': 'x/40xb &text|print (char *)&text|set var counter=77|find &text,+64,(char)35|compare-sections|info auxv|dump memory /tmp/d &text &text+1',
    'registers': 'info all-registers|set var $rax=5|set var $xmm0.uint128=7|print $eflags|set var $rip=work|stepi|flushregs|info registers',
    'about': 'info proc|info os|info os processes|info os threads|info sharedlibrary|info files|monitor help|monitor stats|monitor set debug 0|info target',
    'call': 'break work|continue|print ((long (*)(void))inner)()|kill',
    'files': 'remote get /t /tmp/g|remote put /tmp/g /tmp/p|remote delete /tmp/p|info proc mappings|kill',
    'jump': 'break work|continue|jump handler|info registers rip|kill',
    'trace': 'source /tmp/trace|break child|tstart|continue|tstop|tstatus|info tracepoints|tfind start|tdump|tfind 2|tfind pc work|tfind tracepoint 2|'
             'print $steps|tfind none|tsave /tmp/saved|kill',
    'trace-circular': 'set circular-trace-buffer on|set trace-buffer-size 9000|trace work|trace inner|source /tmp/collect|tstart|continue|tfind 0|tfind|kill',
    'trace-disconnected': 'set disconnected-tracing on|source /tmp/trace|tstart|disconnect',
    'until': 'set range-stepping on|break work|continue|step|step|until|advance inner|kill',
}
NON_STOP = {
    'nonstop': 'break work|continue -a|info threads|interrupt -a|continue -a|kill',
    'nonstop-step': 'info threads|stepi|next|thread 1|detach',
}
EXTENDED = {
    'run': 'set remote exec-file /t|set args a b|set environment A=b|set cwd /|break work|run|kill',
    'again': 'set startup-with-shell off|set disable-randomization off|set remote exec-file /t|run|run|continue',
    'attach': 'attach 1000|info threads|detach',
}
# What tracepoints do takes several lines.
ACTIONS = """trace work if (long)counter != 1
actions
collect $regs
collect (long)counter, *(long *)$rsp@4
while-stepping 4
collect $regs
end
end
tvariable $steps = 3
trace inner
"""
COLLECT = """actions
teval $steps = $steps + 1
collect $regs, (long)handled
end
"""
LLDB = {
    'lldb-break': 'breakpoint set -n work|continue|bt|register read --all|frame variable|next|step|finish|kill',
    'lldb-memory': 'memory read 0x402000|memory write 0x402000 1 2 3|memory region 0x401000|memory find -s text 0x402000 0x402100|image list|detach',
    'lldb-watch': 'watchpoint set expression -- 0x402000|continue|continue|watchpoint delete -f|continue',
    'lldb-threads': 'thread list|thread backtrace all|register write rax 5|thread step-inst|process status|expression -- (long)counter',
    'lldb-platform': 'process handle SIGUSR1 -s false -p true|continue',
}


class Proxy:
    """Between a client that connects to it, and the server."""
    def __init__(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(PROXY)
        self.listener.listen()

    def record(self, client):
        said, no_ack, waits = bytearray(), False, False
        self.listener.settimeout(20)
        near, _ = self.listener.accept()
        far = socket.socket(socket.AF_UNIX)
        far.connect(SERVER)
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ)
            selector.register(far, selectors.EVENT_READ)
            while len(said) < 20000:  # a client that finds no end
                events = selector.select(5)
                if not events: # the client waits for the program, which waits; what there is will do
                    break
                for key, _ in events:
                    data = key.fileobj.recv(1 << 16)
                    if not data:
                        near.close(), far.close()
                        return bytes(said)
                    if key.fileobj is near:
                        if waits and b'QStartNoAckMode' in said and not data.startswith(b'+'):
                            said += b'+'
                        waits = False
                        said += data
                        far.sendall(data)
                    else:
                        waits |= b'$' in data
                        near.sendall(data)
        print('no more is said after', bytes(said[-100:]))
        near.close(), far.close()
        return bytes(said)


def choose_next_id(number):
    with open('/proc/sys/kernel/ns_last_pid', 'w', encoding='ascii') as file:
        file.write(str(number - 1))


def start_server(arguments):
    """With the program under its id: the server's own come before that, and how many there are is found out."""
    before = 2
    for _ in range(20):
        for number in range(PROGRAM_ID - 10, PROGRAM_ID + 20): # what the last session has left behind
            try:
                os.kill(number, 9)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
        if os.path.exists(SERVER):
            os.remove(SERVER)
        choose_next_id(PROGRAM_ID - before)
        server = subprocess.Popen(['/work/rein-gdbserver', '--once', '--no-startup-with-shell', *arguments],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = b''
        while b'Listening' not in said:
            line = server.stderr.readline()
            if not line:
                break
            said += line
        found = re.search(rb'pid = (\d+)', said)
        if not found or int(found.group(1)) == PROGRAM_ID:
            return server
        server.kill()
        server.wait()
        before += int(found.group(1)) - PROGRAM_ID
        if not 0 <= before < 100:
            before = 2
    raise SystemExit(f'the program does not get its id: {said!r}')


def session(name, start, arguments, client):
    faulthandler.dump_traceback_later(40, exit=True)
    server = start_server(arguments)
    proxy = Proxy()
    choose_next_id(5000)
    with subprocess.Popen(client, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, 'DEBUGINFOD_URLS': ''}) as process:
        try:
            said = proxy.record(process)
        except TimeoutError:
            said = b''
        process.kill()
        output = process.stdout.read()
    server.kill()
    server.wait()
    server.stderr.close()
    proxy.listener.close()
    os.remove(PROXY)
    if not said:
        print(f'{name}: the client has not come: {output[-400:]!r}')
        return
    with open(os.path.join(OUT, name), 'wb') as file:
        file.write(bytes([start]) + said)
    print(f'{name}: {len(said)} bytes', flush=True)


def gdb(before, connect, commands):
    words = ['gdb', '-nx', '-batch', '-ex', 'set confirm off', '-ex', 'set pagination off']
    for command in (*before, f'target {connect} {PROXY}', *commands.split('|')):
        words += ['-ex', command]
    return words + ['/t']


def lldb(commands):
    words = ['lldb', '--no-lldbinit', '--batch', '-o', f'process connect unix-connect://{PROXY}']
    for command in commands.split('|'):
        words += ['-o', command]
    return words + ['/t']


for path, text in (('/tmp/trace', ACTIONS + COLLECT), ('/tmp/collect', COLLECT)):
    with open(path, 'w', encoding='ascii') as lines:
        lines.write(text)
if shutil.which('gdb'):
    for name, commands in GDB.items():
        session(name, GDBSERVER, [f'unix:{SERVER}', '/t'], gdb([], 'remote', commands))
    for name, commands in NON_STOP.items():
        session(name, GDBSERVER, [f'unix:{SERVER}', '/t'], gdb(['set non-stop on'], 'remote', commands))
    for name, commands in EXTENDED.items():
        session(name, GDBSERVER | MULTI | NOTHING, ['--multi', f'unix:{SERVER}'], gdb([], 'extended-remote', commands))
    session('extended', GDBSERVER | MULTI, ['--multi', f'unix:{SERVER}', '/t'],
            gdb([], 'extended-remote', 'info threads|kill|set remote exec-file /t|run|detach'))
    session('keep', GDBSERVER, [f'unix:{SERVER}', '/t'], gdb([], 'remote', 'break work|continue|disconnect'))
if shutil.which('lldb'):
    for name, commands in LLDB.items():
        session(name, 0, [f'unix:{SERVER}', '/t'], lldb(commands))
