"""An event loop in virtual time, and the simulated processes whose work it runs.

Real code runs on it unchanged: tasks, timeouts and events are asyncio's own. What is ready runs first come first
served; when nothing is, the clock jumps to the next timer. A handle belongs to the process whose code scheduled it (a
context variable says so): a killed process's handles are dropped, a paused one's wait until it goes on. So one seed
gives one order of everything.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from typing import Any

from aiokafka.errors import KafkaError


class Killed(BaseException):
    """Ends the code of a process that has just been killed; nothing of ours catches it."""


class Process:
    """One simulated operating-system process.

    Args:
        loop: it runs on.
        name: unique in a run.

    Attributes:
        alive: false once it was killed.
        paused: it was stopped (SIGSTOP) and has not gone on yet.
        slept_s: length of the pauses it has just woken from, until its watch has looked; what `PauseWatch` measures.
        why: what ended it.
    """

    def __init__(self, loop: "SimLoop", name: str) -> None:
        self.loop = loop
        self.name = name
        self.alive = True
        self.paused = False
        self.slept_s = 0.0
        self.why = ""
        self.on_death: list[Callable[[], None]] = []
        self.on_pause: list[Callable[[float], None]] = []
        self.on_resume: list[Callable[[], None]] = []
        self.deferred: list[Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self._context = copy_context()
        self._context.run(PROCESS.set, self)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run a coroutine as a task of this process."""
        return self._context.copy().run(self.loop.create_task, coroutine)

    def call_later(self, delay_s: float, callback: Callable[..., Any], *args: Any) -> "Handle":
        """Call something in this process after a while, if it still lives then."""
        return self.loop.call_later(delay_s, callback, *args, context=self._context)

    def kill(self, why: str) -> None:
        """End the process at once: nothing of it runs any more, not even clean-up that would have an effect."""
        if not self.alive:
            return
        self.alive = False
        self.why = why
        self.deferred.clear()
        for notify in self.on_death:
            notify()
        for task in self.tasks:
            if task.done():
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            # The coroutine that runs just now ends by itself, with Killed.
            with suppress(ValueError, RuntimeError):
                coroutine = task.get_coro()
                assert coroutine is not None
                coroutine.close()
        self.tasks.clear()

    def pause(self, seconds: float) -> None:
        """Stop the process; it goes on after that time, not knowing that it slept."""
        if self.paused or not self.alive:
            return
        self.paused = True
        for notify in self.on_pause:
            notify(seconds)
        self.loop.outside(self.loop.call_later, seconds, self._resume, seconds)

    def _resume(self, seconds: float) -> None:
        if not self.alive:
            return
        self.paused = False
        self.slept_s += seconds
        self.loop.ready.extend(self.deferred)
        self.deferred.clear()
        self.loop.call_soon(self._beat, context=self._context)

    def _beat(self) -> None:
        for notify in self.on_resume:
            notify()
        self.slept_s = 0.0


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class Handle:
    """A callback that waits for its turn."""

    __slots__ = ("args", "callback", "context", "live", "when_s")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, when_s: float) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.live = True
        self.when_s = when_s

    def cancel(self) -> None:
        """Do not call it."""
        self.live = False

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""
        return not self.live

    def when(self) -> float:
        """Return its time on the loop's clock."""
        return self.when_s


class SimLoop(asyncio.AbstractEventLoop):
    """The loop.

    Attributes:
        now_s: virtual seconds since the run began.
        halted: stop after the present handle.
        on_error: takes exceptions that nothing caught.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ready: deque[Handle] = deque()
        self.halted = False
        self.on_error: Callable[[BaseException], None] = _raise
        self._timers: list[tuple[float, int, Handle]] = []
        self._count = 0
        self._outside = Context()

    def outside(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call something that belongs to no process: the broker, the network, the world."""
        return self._outside.copy().run(function, *args)

    def run_until(self, until_s: float) -> None:
        """Run until nothing is left to do, the time has come, or `halted` is set."""
        ready, timers = self.ready, self._timers
        asyncio._set_running_loop(self)
        try:
            while not self.halted:
                if not ready:
                    if not timers or timers[0][0] > until_s:
                        self.now_s = max(self.now_s, until_s)
                        return
                    when_s, _, handle = heapq.heappop(timers)
                    if not handle.live:
                        continue
                    self.now_s = max(self.now_s, when_s)
                else:
                    handle = ready.popleft()
                    if not handle.live:
                        continue
                process = handle.context.get(PROCESS)
                if process is not None:
                    if not process.alive:
                        continue
                    if process.paused:
                        process.deferred.append(handle)
                        continue
                try:
                    handle.context.run(handle.callback, *handle.args)
                except Killed:
                    pass
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self.on_error(error)
        finally:
            asyncio._set_running_loop(None)

    # --- what asyncio asks of a loop -----------------------------------------------------------------------------

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now_s

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Always, for whoever can ask."""
        return True

    def is_closed(self) -> bool:
        """Never."""
        return False

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        """Call something after everything that is ready now."""
        handle = Handle(callback, args, copy_context() if context is None else context, self.now_s)
        self.ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        """Call something after a while."""
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        """Call something at a time; of two at one time the first scheduled comes first."""
        handle = Handle(callback, args, copy_context() if context is None else context, when)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> "asyncio.Task[Any]":
        """Run a coroutine as a task of the process whose code asks for it."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=str(name or "task"), context=context)
        process = PROCESS.get()
        if process is not None:
            if len(process.tasks) > 64:
                process.tasks = [each for each in process.tasks if not each.done()]
            process.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take an exception nobody looked at; a killed process leaves some behind, as failed deliveries."""
        error = context.get("exception")
        task = isinstance(context.get("future"), asyncio.Task)
        if task and error is not None and not isinstance(error, Killed | GeneratorExit | KafkaError):
            self.on_error(error)


def _raise(error: BaseException) -> None:
    raise error
