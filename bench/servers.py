# What gdb does for bench/servers.c, inside of the debugger's own session: each function is timed there, so that the debugger's
# start and the reading of symbols are no part of it. The bench sends a line of Python, and reads "@@ MICROSECONDS", or "@@ no WHY".
import sys
import time

import gdb


LATER = object()  # the work answers by itself


def answer(text):
    sys.stdout.write("\n@@ %s\n" % text)
    sys.stdout.flush()


def run(work, *arguments):
    """Does it, and says how long that took. What prepares returns the work proper, which alone is timed."""
    try:
        do = work(*arguments)
        if do is LATER:
            return
        begin = time.monotonic()
        if do:
            do()
        answer("%.3f" % ((time.monotonic() - begin) * 1e6))
    except Exception as error:
        answer("no %s" % str(error).replace("\n", " "))


class Gdb:
    def execute(self, command):
        return gdb.execute(command, to_string=True)

    def open(self, port, program):
        for command in (
            "set pagination off",
            "set confirm off",
            "set width 0",
            "set debuginfod enabled off",
            "set auto-load no",
            "set sysroot",
            # gdbserver takes longer than 2 seconds to attach to 5,000 threads: gdb goes on without the answer, and takes it for the next one.
            "set remotetimeout 100",
            "set breakpoint condition-evaluation target",
            "file " + program,
        ):
            self.execute(command)
        self.port = port

    def connect(self, extended, non_stop=False):
        if non_stop:
            self.execute("set non-stop on")
        self.execute("target %s localhost:%d" % ("extended-remote" if extended else "remote", self.port))

    def attach(self, pid, threads):
        def do():
            self.execute("attach %d" % pid)
            if len(gdb.selected_inferior().threads()) < threads:
                raise RuntimeError("not all threads are there")
            self.execute("detach")

        return do

    def stop_in(self, function):
        """Runs to a function that the program is in again and again."""
        self.execute("tbreak " + function)
        self.execute("continue")

    def condition(self, address):
        self.execute("break *%d if $rsp == 0" % address)
        self.execute("continue &")

    def silent(self, pid, address):
        """Non-stop: gdb stops the threads one by one, behind this command's back, and is to be asked again until all are there."""
        self.execute("attach %d" % pid)
        self.execute("break *%d" % address)
        gdb.breakpoints()[-1].commands = "silent\ncontinue"

        def go_on():
            if any(thread.is_running() for thread in gdb.selected_inferior().threads()):
                time.sleep(0.01)
                gdb.post_event(go_on)
            else:
                gdb.execute("continue -a &")
                answer("0")

        gdb.post_event(go_on)
        return LATER

    def step(self, times):
        return lambda: self.execute("step %d" % times)

    def next(self, times):
        return lambda: self.execute("next %d" % times)

    def backtrace(self, threads):
        # Everything is forgotten when something has run.
        self.execute("stepi")

        def do():
            text = self.execute("thread apply all backtrace")
            if text.count("\n#0") < threads:
                raise RuntimeError("not all threads are there")

        return do

    def dump(self, begin, size):
        return lambda: self.execute("dump binary memory /dev/null %d %d" % (begin, begin + size))


debugger = Gdb()
