"""Finds lldb's Python module, for who drives lldb by it: the steps of this folder, and the bench of the servers. The Python must be the
machine's own, for which the module was built."""
import os
import shutil
import subprocess
import sys


def find_lldb(folder):
    """The folder to import it from. Debian's has a link that leads nowhere to the library that it consists of: then the link is made
    anew, with a copy of the module in `folder`. None: there is no module."""
    sys.dont_write_bytecode = True
    for command in ('lldb', 'lldb-14'):
        if not shutil.which(command):
            continue
        paths = subprocess.run([command, '-P'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True)
        root = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which(command))))
        version = f'python{sys.version_info.major}.{sys.version_info.minor}'
        for path in (paths.stdout.strip(), f'{root}/lib/{version}/dist-packages'):
            library = next((each for each in (f'{root}/lib/liblldb.so.1', f'{root}/lib/liblldb.so') if os.path.exists(each)), None)
            if not library or not os.path.exists(f'{path}/lldb/__init__.py'):
                continue
            shutil.copytree(f'{path}/lldb', f'{folder}/lldb', symlinks=True, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns('*.so*'))
            os.symlink(library, f'{folder}/lldb/_lldb.so')
            return folder
    return None
