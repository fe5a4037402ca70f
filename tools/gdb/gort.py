"""Goroutines in gdb, of a process and of a core: docs/debugging.md.

    info goroutines           a line for each
    goroutine N bt            the stack of goroutine N; any other command works there too
    goroutine all bt          of all of them

What a parked goroutine needs to go on lies on its own stack. gdb cannot set registers in a core, so
nothing is set: while a command looks at a goroutine, an unwinder says that the innermost frame of
the selected thread was called from where the goroutine was left. Where things lie is told by two
tables in the program, gort_debugger_slots and gort_debugger_sched.
"""

import re
import time

import gdb
import gdb.unwinder

STATUS = ("idle", "runnable", "running", "syscall", "waiting", "dead")
IDLE, RUNNABLE, RUNNING, SYSCALL, WAITING, DEAD = range(6)
ON_CPU_NOWHERE, ON_CPU_HERE, ON_CPU_ONLY_THERE = range(3)
# As src/arch/<isa>/switch.S leaves them: the register, and its word above the saved stack pointer.
LEFT = {
    "i386:x86-64": (3, {"rip": 1, "rbp": 2}),
    "aarch64": (22, dict([("x%d" % (19 + i), i) for i in range(12)] +
                         [("d%d" % (8 + i), 12 + i) for i in range(8)] + [("pc", 11)])),
}
POINTER = {"i386:x86-64": ("rsp", "rip"), "aarch64": ("sp", "pc")}


class Memory:
    """Words of the program."""

    def __init__(self):
        self.inferior = gdb.selected_inferior()

    def bytes(self, address, count):
        return self.inferior.read_memory(address, count).tobytes()

    def number(self, address, size=8, signed=False):
        return int.from_bytes(self.bytes(address, size), "little", signed=signed)

    def text(self, address):
        return gdb.Value(address).cast(
            gdb.lookup_type("char").pointer()).string(errors="replace") if address else ""


class Facts:
    """The two tables."""

    def __init__(self, memory):
        self.of = {}
        for table in ("gort_debugger_slots", "gort_debugger_sched"):
            try:
                at = int(gdb.parse_and_eval("(unsigned long)&" + table))
            except gdb.error:
                raise gdb.GdbError("gort: this program has no %s (not linked with gort, "
                                   "or stripped)" % table)
            while memory.number(at) != 0:
                name = memory.text(memory.number(at))
                self.of[name] = memory.number(at + 8) or memory.number(at + 16)
                at += 24

    def __getitem__(self, name):
        return self.of[name]


class Goroutine:
    """One, as it was when it was looked at."""

    def __init__(self):
        self.reason = ""
        self.since_ns = 0
        self.saved_sp = 0
        self.thread = 0
        self.entry = 0
        self.locked = False
        self.name = ""

    def state(self, now_ns):
        text = self.reason if self.status == WAITING and self.reason else STATUS[self.status]
        if self.status in (WAITING, SYSCALL) and self.since_ns and now_ns:
            minutes = (now_ns - self.since_ns) // 60000000000
            if minutes >= 1:
                text += ", %d minutes" % minutes
        return text + (", locked to thread" if self.locked else "")


class Program:
    """The goroutines of the selected inferior."""

    def __init__(self):
        self.memory = Memory()
        self.facts = Facts(self.memory)
        count = self.facts["reason_count"]
        self.reasons = [self.memory.text(self.memory.number(self.facts["reasons"] + 8 * i))
                        for i in range(count)]

    def all(self):
        found = list(self.started()) + list(self.unstarted())
        return sorted((g for g in found if g.parent_id or g.creation or g.id == 1),
                      key=lambda g: g.id)

    def started(self):
        facts, memory = self.facts, self.memory
        for size_class in range(facts["arena_count"]):
            arena = facts["arenas"] + size_class * facts["arena_bytes"]
            handed_out = memory.number(arena + facts["arena.handed_out"])
            if handed_out == 0:
                continue
            bytes_each = (16384 << (size_class // 2)) * (3 if size_class % 2 else 2) // 2
            per_chunk = memory.number(arena + facts["arena.per_chunk"])
            chunks = memory.number(arena + facts["arena.chunks"])
            for i in range(handed_out):
                chunk = memory.number(chunks + 8 * (i // per_chunk))
                low = chunk + i % per_chunk * bytes_each
                color = ((low >> 14) + (low >> 19)) % facts["g_colors"]  # color_bytes()
                g = low + bytes_each - facts["g_bytes"] - 64 * color
                try:
                    if memory.number(g + facts["g.id"]) != 0:
                        yield self.started_one(g, low)
                except gdb.MemoryError:
                    continue  # nobody has touched it, so a core leaves it out

    def started_one(self, g, low):
        facts, memory = self.facts, self.memory

        def field(name, size=8):
            return memory.number(g + facts["g." + name], size)

        out = Goroutine()
        out.id, out.parent_id = field("id"), field("parent_id")
        out.creation = field("creation_pc")
        out.status = field("status", 1)
        if out.status == WAITING and field("readied", 1) != 0:
            out.status = RUNNABLE
        if out.status == RUNNING and field("announced", 4) != 0:
            out.status = SYSCALL
        reason = field("reason", 1)
        out.reason = self.reasons[reason] if reason < len(self.reasons) else ""
        out.since_ns = field("waiting_since_ns")
        out.locked = field("os_thread_locks", 4) != 0
        out.name = self.name_of(field("extra"))
        where, m, saved_sp = field("on_cpu", 4), field("m"), field("saved_sp")
        # One that is locked to its thread, and waits, was left as any other; one that a signal has
        # parked in place was left on another stack.
        if where == ON_CPU_NOWHERE or (where == ON_CPU_ONLY_THERE and low < saved_sp < g):
            out.saved_sp = saved_sp
        elif m != 0:
            out.thread = memory.number(m + facts["m.thread"], 4)
        return out

    def name_of(self, extra):
        return self.memory.text(self.memory.number(extra + self.facts["extra.name"])) \
            if extra else ""

    def unstarted(self):
        """Those have no stack yet, and are in the queues."""
        facts, memory = self.facts, self.memory
        capacity = facts["queue_capacity"]
        for i in range(memory.number(facts["p_allocated"], 4)):
            p = memory.number(facts["all_ps"] + 8 * i)
            runq = p + facts["p.queue"]
            entries = [memory.number(runq + facts["runq.next"])]
            head = memory.number(runq + facts["runq.head"], 4)
            size = (memory.number(runq + facts["runq.tail"], 4) - head) & 0xffffffff
            ring = runq + facts["runq.ring"]
            entries += [memory.number(ring + 8 * ((head + k) % capacity))
                        for k in range(min(size, capacity))]
            nursery = p + facts["p.nursery"]
            word = memory.number(nursery + facts["nursery.word"])
            head, tail = (word >> 32) & 0xffff, word >> 48
            ring = nursery + facts["nursery.ring"]
            entries += [memory.number(ring + 8 * ((head + k) % capacity))
                        for k in range(min((tail - head) & 0xffff, capacity))]
            for entry in entries:
                if entry & 1:
                    yield self.unstarted_one(entry & ~1)
        for queue in ("global_queue.head", "held_back.head"):
            entry = memory.number(facts[queue])
            while entry != 0:
                if entry & 1:
                    yield self.unstarted_one(entry & ~1)
                entry = memory.number(entry & ~1)  # the link comes first in both kinds

    def unstarted_one(self, record):
        def field(name):
            return self.memory.number(record + self.facts["record." + name])

        out = Goroutine()
        out.id, out.parent_id = field("id"), field("parent_id")
        out.creation, out.entry = field("creation_pc"), field("invoke")
        out.status = RUNNABLE
        out.name = self.name_of(field("extra"))
        return out

    def now_ns(self):
        """On the program's clock; 0: cannot be known."""
        if gdb.selected_inferior().connection is not None and \
                gdb.selected_inferior().connection.type == "native":
            return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return self.memory.number(self.facts["coarse_now_ns"])  # of a core: the last tick

    # ---------------------------------------------------------------- names of places

    def user_place(self, g):
        """The function that waits: the innermost that is not gort's. By gdb's own unwinder, for
        programs keep no frame pointers."""
        if g.thread:
            return ""
        if g.entry:
            return "not started"
        if not g.saved_sp:
            return ""
        before = gdb.selected_thread()
        left.look_at(g)
        outermost = ""
        try:
            frame, _ = left.first_frame()
            for _ in range(64):
                if frame is None:
                    break
                name, at, function = frame.name(), frame.find_sal(), frame.function()
                table, line = at.symtab, at.line
                if function is not None and is_ours(name, table):
                    # A lambda's call may be in the midst of lines of what was inlined there.
                    table, line = function.symtab, function.line
                if name and not STARTS.search(name):
                    outermost = named(name, table, line)
                    if not is_ours(name, table):
                        break
                frame = frame.older()
        except gdb.error:
            pass  # a stack that cannot be followed to its end
        finally:
            left.look_away()
            before.switch()
        return outermost


def architecture():
    name = gdb.selected_frame().architecture().name()
    if name not in LEFT:
        raise gdb.GdbError("gort: goroutines of %s are not known" % name)
    return name


places = {}


def place_of(pc, user):
    """`function at file:line` of the call that returns to pc; with `user` the innermost that is
    inlined there and not gort's own."""
    return known_place(pc, user)[0]


def known_place(pc, user):
    """The same, and whether it is gort's own."""
    key = (pc, user)
    if key not in places:
        places[key] = look_up(pc, user)
    return places[key]


OURS = ("gort::", "gort_", "std::", "__gnu_cxx::")
# Where names have no namespaces (-g1), files tell.
OUR_FILES = re.compile(r"/include/(gort|c\+\+)/|/src/(arch|os|report|sched|stack|sync)/")


# By which a goroutine is started: the outermost of each.
STARTS = re.compile(r"^gort_context_entry|^gort::sched::.*start_goroutine|^gort::detail::")


def is_ours(name, table):
    if "::" in name.split("<")[0].split("(")[0]:
        return name.startswith(OURS)
    return name.startswith(OURS) or (table is not None and bool(OUR_FILES.search(table.filename)))


def look_up(pc, user):
    name, line, table = "", 0, None
    place = gdb.find_pc_line(pc - 1)
    block = gdb.block_for_pc(pc - 1)
    while block is not None:
        if block.function is not None:
            # What is inlined has the place of its call, which is where the next one is.
            name, table, line = block.function.print_name, place.symtab, place.line
            if not user or not is_ours(name, table):
                break
            place = block.function
        block = block.superblock
        if block is not None and (block.is_global or block.is_static):
            break
    if not name:
        text = gdb.execute("info symbol 0x%x" % (pc - 1), to_string=True)
        name = "" if text.startswith("No symbol") else text.split(" + ")[0].split(" in section")[0]
        return name.strip(), is_ours(name, None)
    return named(name, table, line), is_ours(name, table)


def named(name, table, line):
    where = ""
    if table is not None:
        where = " at " + table.filename.rsplit("/", 1)[-1] + (":%d" % line if line else "")
    return without_parameters(name) + where


def without_parameters(name):
    text = name[:-len(" const")] if name.endswith(" const") else name
    if not text.endswith(")") or text.endswith("operator()"):
        return name
    depth = 0
    for i in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[i], 0)
        if depth == 0:
            return text[:i] if i else name
    return name


def thread_of(number):
    for thread in gdb.selected_inferior().threads():
        if number in (thread.ptid[1], thread.ptid[2]):
            return thread
    return None


# -------------------------------------------------------------------- looking at a parked one

class Left(gdb.unwinder.Unwinder):
    """While `of` is set, the thread's innermost frame was called from where that goroutine was
    left."""

    def __init__(self):
        super().__init__("gort")
        self.of = None

    def __call__(self, pending):
        if self.of is None:
            return None
        sp_name, pc_name, sp, pc = self.thread
        if int(pending.read_register(sp_name)) & mask != sp or \
                int(pending.read_register(pc_name)) & mask != pc:
            return None
        words, registers = LEFT[pending.architecture().name()]
        memory = Memory()
        frame_id = FrameId(self.of.saved_sp, pc)
        info = pending.create_unwind_info(frame_id)
        for name, word in registers.items():
            value = memory.bytes(self.of.saved_sp + 8 * word, 8)
            kind = pending.read_register(name).type
            if kind.sizeof == 8:
                info.add_saved_register(name, gdb.Value(value, kind))
        kind = pending.read_register(sp_name).type
        info.add_saved_register(sp_name, gdb.Value(self.of.saved_sp + 8 * words).cast(kind))
        return info

    def look_at(self, goroutine):
        frame = gdb.newest_frame()
        sp_name, pc_name = POINTER[architecture()]
        self.thread = (sp_name, pc_name, int(frame.read_register(sp_name)) & mask,
                       int(frame.read_register(pc_name)) & mask)
        self.of = goroutine
        gdb.invalidate_cached_frames()

    def look_away(self):
        self.of = None
        gdb.invalidate_cached_frames()

    def first_frame(self):
        """Of the goroutine's, and how many stand before it."""
        frame, before = gdb.newest_frame(), 0
        while frame is not None:
            if int(frame.read_register(self.thread[0])) & mask != self.thread[2] or \
                    int(frame.read_register(self.thread[1])) & mask != self.thread[3]:
                return frame, before
            frame, before = frame.older(), before + 1
        raise gdb.GdbError("gort: the goroutine's frames were not found")


class FrameId:
    def __init__(self, sp, pc):
        self.sp = gdb.Value(sp)
        self.pc = gdb.Value(pc)


mask = (1 << 64) - 1
left = Left()
gdb.unwinder.register_unwinder(None, left, replace=True)


# Commands that number frames, and those that are told a number.
OF_FRAMES = re.compile(r"(bt|backtrace|where|f|frame|select-frame|up|down)(\s|$)")
APPLIED = re.compile(r"((?:f|frame)\s+apply\s+)(\d+|all)(?=\s)")
NUMBER = re.compile(r"((?:bt|backtrace|where|f|frame|select-frame)"
                    r"(?:\s+(?:-?full|(?:apply\s+)?level))*\s+)(\d+)(?=\s|$)")


def counted_by_gdb(command, skipped):
    """The command with gdb's numbers of frames, where it has the goroutine's."""
    applied = APPLIED.match(command)
    if applied:
        count = 1000000 if applied[2] == "all" else int(applied[2])
        return "%slevel %d-%d%s" % (applied[1], skipped, skipped + count - 1,
                                    command[applied.end():])
    return NUMBER.sub(lambda m: m[1] + str(int(m[2]) + skipped), command, count=1)


SELECT = re.compile(r"(?:(f|frame)(?!\s+apply\b)|(up|down))\b")


def run_quietly(command):
    """What a command says; of those that select a frame gdb would show that by itself."""
    selects = SELECT.match(command)
    if selects:
        quiet = selects[2] + "-silently" if selects[2] else "select-frame"
        gdb.execute(quiet + command[selects.end():])
        command = "frame"
    return gdb.execute(command, to_string=True)


def run_in(goroutine, command):
    """Runs a command of gdb's where the goroutine is."""
    if goroutine.entry:
        print("#0  %s, which has not started" % place_of(goroutine.entry + 1, True))
        return
    before = gdb.selected_thread()
    if goroutine.thread:
        thread = thread_of(goroutine.thread)
        if thread is None:
            print("its thread %d is not there" % goroutine.thread)
            return
        try:
            thread.switch()
            gdb.execute(command)
        finally:
            before.switch()
        return
    if not goroutine.saved_sp:
        print("it is on its way from one thread to another")
        return
    left.look_at(goroutine)
    try:
        frame, skipped = left.first_frame()
        frame.select()
        if not OF_FRAMES.match(command):
            gdb.execute(command)
            return
        # Those of the thread are not the goroutine's, whose numbers begin with 0.
        shown = True
        for line in run_quietly(counted_by_gdb(command, skipped)).splitlines():
            number = line[1:].split(" ", 1)[0] if line.startswith("#") else ""
            if number.isdigit():
                shown = int(number) >= skipped
                rest = line[1 + len(number):].lstrip()
                line = ("#%d" % (int(number) - skipped)).ljust(4) + rest
            if shown:
                print(line)
    finally:
        left.look_away()
        before.switch()


# -------------------------------------------------------------------- the commands

def selected(program, wanted):
    for g in program.all():
        if g.id == wanted:
            return g
    raise gdb.GdbError("gort: there is no goroutine %d" % wanted)


def header(g, now_ns):
    created = ""
    if g.creation:
        created = ", created by " + place_of(g.creation, True)
        if g.parent_id:
            created += " in goroutine %d" % g.parent_id
    name = " {name: %s}" % g.name if g.name else ""
    return "goroutine %d [%s]%s%s" % (g.id, g.state(now_ns), name, created)


class InfoGoroutines(gdb.Command):
    """List the goroutines: number (* runs on the selected thread), state, where it waits, where it
was started."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        program = Program()
        now_ns = program.now_ns()
        current = gdb.selected_thread()
        for g in program.all():
            mark = "*" if g.thread and current and g.thread in current.ptid[1:] else " "
            place = program.user_place(g)
            if g.thread:
                thread = thread_of(g.thread)
                place = "thread %d (LWP %d)" % (thread.num if thread else 0, g.thread)
            name = " {name: %s}" % g.name if g.name else ""
            by = " created by " + place_of(g.creation, True) if g.creation else ""
            print("%s %-4d %-16s%s %s%s" % (mark, g.id, g.state(now_ns), name, place, by))


class GoroutineCommand(gdb.Command):
    """Run a command where a goroutine is: goroutine N COMMAND, goroutine all COMMAND.
`goroutine 7 bt` prints the stack of goroutine 7; without a command, too."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if not words or not (words[0] == "all" or words[0].isdigit()):
            raise gdb.GdbError("usage: goroutine N|all [COMMAND]")
        command = words[1] if len(words) > 1 else "bt"
        program = Program()
        now_ns = program.now_ns()
        which = program.all() if words[0] == "all" else [selected(program, int(words[0]))]
        for i, g in enumerate(which):
            if words[0] == "all" or command in ("bt", "backtrace", "where"):
                print(("\n" if i else "") + header(g, now_ns))
            try:
                run_in(g, command)
            except gdb.error as wrong:
                if words[0] != "all":
                    raise gdb.GdbError(str(wrong))
                print(wrong)  # it may be right for the others


InfoGoroutines()
GoroutineCommand()
