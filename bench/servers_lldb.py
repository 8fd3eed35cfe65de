"""What lldb does for bench/servers.c, as servers.py has gdb do it: a line of Python comes, and "@@ MICROSECONDS", or "@@ no WHY", is the
answer. lldb's own Python does not work everywhere, so this is a program that has lldb's library. The bench ends it when an answer is late."""
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../tests/cli/lldb'))
from find_lldb import find_lldb

PIECE = 1 << 20 # bytes in a request for memory
LIMIT = 30 # seconds until a server listens

# lldb reads from what is its input, and writes: the bench's socket is not for it.
asked, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), 'w')
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
os.dup2(null, 1)


def answer(text):
    answers.write(f'\n@@ {text}\n')
    answers.flush()


def run(work, *arguments):
    """Does it, and says how long that took. What prepares returns the work proper, which alone is timed."""
    try:
        do = work(*arguments)
        begin = time.monotonic()
        if do:
            do()
        answer(f'{(time.monotonic() - begin) * 1e6:.3f}')
    except Exception as error: # the bench shows it
        answer('no ' + str(error).strip().replace('\n', ' '))


class Lldb:
    def execute(self, command):
        result = lldb.SBCommandReturnObject()
        self.debugger.GetCommandInterpreter().HandleCommand(command, result)
        if not result.Succeeded():
            raise RuntimeError(f'{command}: {result.GetError()}')
        return result.GetOutput() or ''

    def open(self, port, program):
        if not lldb:
            raise RuntimeError('lldb has no Python module that works')
        self.debugger = lldb.SBDebugger.Create()
        self.debugger.SetAsync(False) # a command waits for the stop
        self.execute('settings set symbols.enable-external-lookup false')
        self.execute(f'target create {program}')
        self.port = port

    def process(self):
        return self.debugger.GetSelectedTarget().GetProcess()

    def connect(self, *_):
        """Again and again, until the server listens."""
        begin = time.monotonic()
        while True:
            try:
                self.execute(f'process connect --plugin gdb-remote connect://localhost:{self.port}')
                break
            except RuntimeError:
                if time.monotonic() - begin > LIMIT:
                    raise
                time.sleep(0.02)

    def attach(self, server, pid, threads):
        """lldb starts the server."""
        os.environ['BENCH_SERVER'] = server
        os.environ['LLDB_DEBUGSERVER_PATH'] = os.path.join(HERE, 'debugserver')

        def do():
            self.execute(f'process attach --pid {pid}')
            if self.process().GetNumThreads() < threads:
                raise RuntimeError('not all threads are there')
            self.execute('process detach')

        return do

    def stop_in(self, function):
        """Runs to a function that the program is in again and again; the thread that has stopped there is the one that steps."""
        self.execute(f'breakpoint set --one-shot true --name {function}')
        self.execute('process continue')
        for thread in self.process():
            if thread.GetStopReason() == lldb.eStopReasonBreakpoint:
                self.process().SetSelectedThread(thread)
                return
        raise RuntimeError(f'{function} was not reached')

    def repeat(self, command, times):
        for _ in range(times):
            self.execute(command)

    def step(self, times):
        return lambda: self.repeat('thread step-in', times)

    def next(self, times):
        return lambda: self.repeat('thread step-over', times)

    def backtrace(self, threads):
        # Everything is forgotten when something has run.
        self.execute('thread step-inst')

        def do():
            if self.execute('thread backtrace all').count('frame #0:') < threads:
                raise RuntimeError('not all threads are there')

        return do

    def dump(self, begin, size):
        def do():
            error = lldb.SBError()
            for at in range(begin, begin + size, PIECE):
                self.process().ReadMemory(at, min(PIECE, begin + size - at), error)
                if error.Fail():
                    raise RuntimeError(error.GetCString())

        # Otherwise lldb keeps what it has read until something has run. To step does not help: the program sleeps in a system call, where
        # a step never ends, behind no server.
        self.execute('settings set target.process.disable-memory-cache true')
        return do


with tempfile.TemporaryDirectory() as folder:
    try:
        sys.path.insert(0, find_lldb(folder) or folder)
        import lldb
    except ImportError:
        lldb = None
debugger = Lldb()
for line in asked:
    exec(line)
