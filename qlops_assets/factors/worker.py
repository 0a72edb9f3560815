"""What a spawned worker owes the process that started it: to end with it, and to end in silence."""

import multiprocessing
import os
import signal
import threading


def live_with_parent() -> None:
    """Make this process end when its parent ends, however, and at once on Ctrl-C.

    A pool's workers hold both ends of the queue that they wait on, so they would never learn that
    their parent was killed, and keep their memory for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
