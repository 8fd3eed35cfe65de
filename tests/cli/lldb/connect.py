"""lldb connects to a server that runs already and has no process, and attaches by it: connect.py PORT PID.

It is told to by its Python module and waits for each event: its command "process attach" right behind "process connect" may wait for
ever, and does so with lldb-server as well, once in 90 times on a busy machine."""
import os
import sys
import tempfile

from find_lldb import find_lldb

LIMIT = 30  # seconds


def await_state(lldb, listener, state):
    event = lldb.SBEvent()
    name = lldb.SBDebugger.StateAsCString
    while not lldb.SBProcess.EventIsProcessEvent(event) or lldb.SBProcess.GetStateFromEvent(event) != state:
        if not listener.WaitForEvent(LIMIT, event):
            sys.exit(f'failed: the process is not {name(state)} after {LIMIT} s')


def attach(lldb, port, pid):
    debugger = lldb.SBDebugger.Create()
    listener = lldb.SBListener('connect')
    error = lldb.SBError()
    process = debugger.CreateTarget('').ConnectRemote(listener, f'connect://localhost:{port}', 'gdb-remote', error)
    assert error.Success(), error
    await_state(lldb, listener, lldb.eStateConnected)
    assert process.RemoteAttachToProcessWithID(pid, error), error
    await_state(lldb, listener, lldb.eStateStopped)
    assert [thread.GetThreadID() for thread in process] == [pid], process
    assert process.Detach().Success(), process


def main():
    port, pid = (int(each) for each in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, find_lldb(folder))
        import lldb
        attach(lldb, port, pid)
        sys.stdout.flush()
        os._exit(0)  # Debian's lldb sometimes ends with a fault, in its own destructors


if __name__ == '__main__':
    main()
