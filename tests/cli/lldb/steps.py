"""Does the steps of a file with lldb, by a debug server: steps.py STEPS SERVER...  The servers are "lldb"
and "rein", or one of them. What they answered is compared, step by step, and what differs is shown with the step's name; of
one its answers are shown.

A step has its name at the line's beginning, and indented below it
    an lldb command         which is done; what lldb says is the answer
    = REGEX                 which must be found in the answer, whoever the server is
    @ DIRECTIVE             something that is no command, see Session
"session NAME" begins with a new debugger, in a process of its own; "session NAME, if watchpoints fire" is left out with its reason
where they do not. "session NAME, rein alone" is for what lldb-server does not do. Numbers of processes, and addresses that are chosen anew each time, are no part of an answer.

All commands are synchronous, by lldb's Python module, so that an answer is whole and belongs to one command."""
import collections
import ctypes
import difflib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
from find_lldb import find_lldb

LIMIT = 60 # seconds for a step
LEAST = 60 # so many steps have answers, or the test has not tested
AGAIN = 2 # so often, if lldb-server itself does not do what it should
Step = collections.namedtuple('Step', 'name lines')


def read_steps(path):
    sessions = {}
    with open(path, encoding='utf-8') as file:
        for line in file:
            line = line.rstrip()
            if line.startswith('session '):
                steps = sessions[line[len('session '):]] = []
            elif line.startswith('    '):
                steps[-1].lines.append(line.strip())
            elif line and not line.startswith('#'):
                steps.append(Step(line, []))
    return sessions


class Session:
    """One debugger. Directives:
    start ARGS     ./program is started, no child of the server; $PID is its id, when it has said that it waits
    serve ARGS     a server is started on a port, $PORT, with the program, or without when there are no arguments
    wait NAME      what follows is to find a program that begins after it has: some are started until it does, by the name of
                   $NAME, which is nobody else's: the sessions with the other server run at the same time
    fails TEXT     a command that shall fail, whatever it then says
    connect        to a server that has no program, at $PORT
    interrupt      the process runs on, and is interrupted
    quietly TEXT   a command of which it only matters if it succeeds
    alive          is the process of "start" alive, running, and nobody's tracee?"""

    def __init__(self, module, server):
        self.lldb, self.server, self.variables, self.started = module, server, {}, []
        self.debugger = module.SBDebugger.Create()
        self.debugger.SetAsync(False)
        self.debugger.SetOutputFileHandle(open(os.devnull, 'w', encoding='utf-8'), True) # what is no answer
        self.command('settings set symbols.enable-external-lookup false') # libc's: as far as all machines have them
        self.command('settings set target.inherit-env false')
        self.waiting = None

    def command(self, text):
        result = self.lldb.SBCommandReturnObject()
        self.debugger.GetCommandInterpreter().HandleCommand(text, result)
        return (result.GetOutput() or '') + (result.GetError() or '')

    def popen(self, *words, **options):
        self.started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, **options))
        return self.started[-1]

    def start(self, *words):
        process = self.popen('./program', *words, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b'waits\n'
        while self.status(process.pid)['State'].split()[0] != 'S': # until it sleeps, always at the same place
            pass
        self.variables['PID'] = process.pid
        return ''

    def serve(self, *words):
        if self.server == 'lldb':
            read, write = os.pipe()
            program = ('--', './program', *words) if words else ()
            self.popen(os.environ['LLDB_SERVER'], 'gdbserver', '--pipe', str(write), 'localhost:0', *program,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[write], env={})
            os.close(write)
            with os.fdopen(read) as file:
                self.variables['PORT'] = int(file.read().strip('\0\n'))
        else:
            program = ('--', './program', *words) if words else ('--multi',)
            server = self.popen(os.environ['REIN_BINARY'], 'serve', '--once', *program, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, env={})
            for line in server.stderr:
                if found := re.match(r'Listening on port (\d+)', line):
                    self.variables['PORT'] = int(found.group(1))
                    break
        return ''

    def wait(self, name):
        self.variables['NAME'] = name = f'{name}-{self.server}'
        done = threading.Event()

        def start_some():
            while not done.wait(0.2):
                self.popen('./' + name, 'wait', stdout=subprocess.DEVNULL)
        if not os.path.exists(name):
            os.link('program', name)
        self.waiting = threading.Thread(target=start_some), done
        self.waiting[0].start()
        return ''

    def quietly(self, *words):
        result = self.lldb.SBCommandReturnObject()
        self.debugger.GetCommandInterpreter().HandleCommand(' '.join(words), result)
        return 'succeeded\n' if result.Succeeded() else result.GetError()

    def fails(self, *words):
        return 'failed\n' if self.quietly(*words) != 'succeeded\n' else 'succeeded\n'

    def connect(self):
        self.debugger.SetAsync(True) # there is no stop to wait for
        answer = self.quietly('process', 'connect', f'connect://localhost:{self.variables["PORT"]}')
        self.debugger.SetAsync(False)
        return answer

    def interrupt(self):
        event = self.lldb.SBEvent()
        listener = self.debugger.GetListener()
        process = self.debugger.GetSelectedTarget().GetProcess()

        def wait_for(state):
            while not listener.WaitForEvent(LIMIT, event) or self.lldb.SBProcess.GetStateFromEvent(event) != state:
                pass
        self.debugger.SetAsync(True)
        self.command('continue')
        wait_for(self.lldb.eStateRunning)
        process.SendAsyncInterrupt()
        wait_for(self.lldb.eStateStopped)
        self.debugger.SetAsync(False)
        return ''

    @staticmethod
    def status(pid):
        with open(f'/proc/{pid}/status', encoding='utf-8') as file:
            return dict(line.split(':', 1) for line in file)

    def alive(self):
        status = self.status(self.variables['PID'])
        return f'{"stopped" if status["State"].split()[0] in "Tt" else "runs"}, tracer {status["TracerPid"].strip()}\n'

    def do(self, step):
        answer, wanted = '', []
        for line in step.lines:
            line = re.sub(r'\$(PID|PORT|NAME)\b', lambda name: str(self.variables[name.group(1)]), line)
            if line.startswith('= '):
                wanted.append(line[2:])
            elif line.startswith('@ '):
                name, *words = line[2:].split()
                answer += getattr(self, name)(*words)
            else:
                answer += self.command(line)
        if self.waiting:
            self.waiting[1].set()
            self.waiting[0].join()
            self.waiting = None
        return answer, wanted

    def end(self):
        self.lldb.SBDebugger.Destroy(self.debugger)
        for process in self.started:
            process.kill()
            process.wait()


def plain(answer):
    """Without what is different each time; and a flags or segment register of rein's is as wide as gdb has it."""
    answer = answer.replace(os.getcwd(), '.')
    answer = re.sub(r'^ *(rflags|eflags|[cdefgs]s) = 0x0*', r'\1 = 0x', answer, flags=re.M).replace('eflags', 'rflags')
    answer = re.sub(r'\b(Process|pid =|pid:|process) \d+', r'\1 PID', answer, flags=re.I)
    answer = re.sub(r'tid = (0x)?[0-9a-f]+', 'tid = TID', answer)
    answer = re.sub(r'0x0*7[ef][0-9a-f]{10}\b', 'ADDRESS', answer) # mappings begin as low as 0x7eff_..., one time in hundreds
    return answer


def run_session(module, server, steps, output):
    """In a process of its own. A step that is not done in time is ended by SIGALRM, and is the last that was begun."""
    session = Session(module, server)
    for step in steps:
        print(json.dumps({'begun': step.name}), file=output, flush=True)
        signal.alarm(LIMIT)
        answer, wanted = session.do(step)
        missing = [each for each in wanted if not re.search(each, answer, re.M)]
        print(json.dumps({'step': step.name, 'answer': plain(answer), 'missing': missing}), file=output, flush=True)
    session.end()
    signal.alarm(0)


def begin_session(folder, server, steps):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        status = 1
        try:
            sys.path.insert(0, folder)
            os.environ['LLDB_DEBUGSERVER_PATH'] = os.environ['LLDB_SERVER'] if server == 'lldb' else os.path.realpath('debugserver')
            import lldb
            with os.fdopen(write, 'w') as output:
                run_session(lldb, server, steps, output)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    return pid, os.fdopen(read)


def adopt_orphans():
    """Who is left by a session that was ended is this process's child from now on."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def end_orphans():
    """The debug server of a client that was ended: lldb-server, of lldb 14, never notices that, and takes a whole processor from all tests
    that come later."""
    me = os.getpid()
    with open(f'/proc/{me}/task/{me}/children', encoding='ascii') as file:
        children = [int(each) for each in file.read().split()]
    for child in children:
        with open(f'/proc/{child}/comm', encoding='utf-8') as file:
            if not file.read().startswith(('lldb-server', 'debugserver')):
                continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def end_session(pid, pipe):
    """What was answered to each step, and what went wrong."""
    answers, wrong, begun = {}, [], None
    for line in pipe:
        told = json.loads(line)
        if 'begun' in told:
            begun = told['begun']
            continue
        answers[told['step']] = told['answer']
        wrong += [(told['step'], f'no line like "{each}" in:\n{told["answer"]}') for each in told['missing']]
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        how = f'is not done after {LIMIT} s' if status == -signal.SIGALRM else f'ended the client, status {status}'
        wrong.append((begun, how))
        end_orphans()
    return answers, wrong


def main():
    path, *servers = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        found = find_lldb(folder)
        works = found and subprocess.run([sys.executable, '-c', 'import lldb; lldb.SBDebugger.Create()'], check=False,
                                         env={**os.environ, 'PYTHONPATH': found}, stderr=subprocess.DEVNULL)
        if not works or works.returncode:
            print('skipped: lldb has no Python module that works')
            return 77
        adopt_orphans()
        return run_all(found, read_steps(path), servers)


def compare(name, steps, servers, results, show):
    """Shows what differs, or is wrong: how many answers there were, and how many failures."""
    failures, count = 0, 0
    for server, (_, wrong) in zip(servers, results):
        for step, text in wrong:
            failures += 1
            print(f'failed: {name}: {step}: with {server}: {text}')
    for step in steps:
        given = [answers.get(step.name) for answers, _ in results]
        if show:
            print(f'---- {name}: {step.name}\n{given[0]}')
        count += all(each is not None for each in given)
        if len(set(given)) > 1 and None not in given:
            failures += 1
            print(f'failed: {name}: {step.name}: the answers differ')
            sys.stdout.writelines(difflib.unified_diff(given[0].splitlines(True), given[1].splitlines(True), *servers))
    return count, failures


def run_all(folder, sessions, servers):
    """Two sessions at a time, for each mostly waits."""
    probe = begin_session(folder, 'lldb', sessions.pop('probe'))
    fires = 'stop reason = watchpoint' in ''.join(end_session(*probe)[0].values())
    waiting, running, failures, count = list(sessions.items()), [], 0, 0
    while waiting or running:
        while waiting and len(running) < 2:
            title, steps = waiting.pop(0)
            name, _, condition = title.partition(', ')
            if condition == 'if watchpoints fire' and not fires:
                for step in steps:
                    print(f'skipped: {name}: {step.name}: debug registers do not fire on this machine')
                continue
            whose = ['rein'] if condition == 'rein alone' else servers
            running.append((name, steps, whose, [begin_session(folder, server, steps) for server in whose]))
        name, steps, whose, begun = running.pop(0)
        results = [end_session(*each) for each in begun]
        for _ in range(AGAIN): # lldb-server's own: it attaches to a program that begins, and is refused now and then
            if len(whose) == 1 or not results[0][1]:
                break
            print(f'{name}: lldb-server did not do what it should, and all is tried again')
            results = [end_session(*begin_session(folder, server, steps)) for server in whose]
        results = compare(name, steps, whose, results, len(servers) == 1)
        count, failures = count + results[0], failures + results[1]
    print(f'{count} steps, {failures} failures')
    return 1 if failures or count < LEAST else 0


sys.exit(main())
