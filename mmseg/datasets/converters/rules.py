"""The table that describes a converter: published names → what is written, and how much of it there has to be."""
from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmseg.datasets.converters.archives import Member, Scratch, list_members
from mmseg.datasets.converters.tasks import Task
from mmseg.utils.errors import InputError


@dataclass(frozen=True)
class Rule:
    """Where published files of one kind go.

    Args:
        pattern: regular expression for the end of a path, from the beginning of a folder's name; case does not matter.
        target: match -> path below the output folder, or None to leave the file out.
        convert: content, name -> content of the target; None copies the file.
        growth: about how many times as large the target is, for the check of the free space.
        task: makes the task instead: source, path -> task.
    """

    pattern: str
    target: Callable[[re.Match], str | None]
    convert: Callable[[bytes, str], bytes] | None = None
    growth: float = 1
    task: Callable[[Member, str], Task] | None = None

    def match(self, name: str) -> re.Match | None:
        return re.search(rf'(?:^|/)(?:{self.pattern})$', name, re.IGNORECASE)

    def make(self, member: Member, target: str) -> Task:
        return self.task(member, target) if self.task else Task(member, target, self.convert, self.growth)


@dataclass(frozen=True)
class Count:
    """How many files a folder of the output holds.

    Args:
        folder: below the output folder; subfolders count.
        published: how many there should be; None where nobody has published it.
        suffix: of those that count.
        source: the published files that they come from, by name, for messages.
        optional: nothing is amiss where there are none at all.
        images: folder and suffix of the images that these label, one each, by name.
    """

    folder: str
    published: int | None
    suffix: str = ''
    source: str = ''
    optional: bool = False
    images: tuple[str, str] | None = None


@dataclass
class Plan:
    """What is to be done.

    Args:
        out_dir: the folder that `counts` are of.
        tasks: one for each file, more or less.
        texts: small files that are written when the tasks are finished: path -> lines.
        counts: what there has to be at the end, where the arguments change it.
    """

    out_dir: str
    tasks: list[Task]
    texts: dict[str, list[str]] = field(default_factory=dict)
    counts: tuple[Count, ...] | None = None


@dataclass(frozen=True)
class Converter:
    """A data set's converter.

    Args:
        expects: in words, what the user gives.
        out_dir: where it goes by default: where the config looks; None: where the user's files are.
        counts: what there has to be at the end.
        rules: where published files go; the first that fits counts.
        archives: regular expression for the names of the archives in a folder.
        nested: regular expression for the names of archives inside of these.
        options: further arguments of the command line: flags -> arguments of `add_argument`.
        path_flags: flags that 1.x has for the path.
        out_flags: flags that 1.x has for the output folder.
    """

    expects: str
    out_dir: str | None
    counts: tuple[Count, ...]
    rules: tuple[Rule, ...] = ()
    archives: str = ''
    nested: str = ''
    options: Mapping[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    path_flags: tuple[str, ...] = ()
    out_flags: tuple[str, ...] = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument('paths', metavar='PATH', nargs='*' if self.path_flags else '+', help=self.expects)
        if self.path_flags:
            parser.add_argument(*self.path_flags, dest='path', metavar='PATH', help='the same, as 1.x has it')
        default = self.out_dir or 'where the files are'
        parser.add_argument('-o', '--out-dir', '--out_dir', *self.out_flags, dest='out_dir', metavar='DIR',
                            default=self.out_dir, help=f'where to write ({default})')
        for flags, arguments in self.options.items():
            parser.add_argument(*flags, **arguments)

    def paths_of(self, args: argparse.Namespace) -> list[str]:
        """Return what the user has given."""
        paths = [*args.paths, *filter(None, [getattr(args, 'path', None)])]
        if not paths:
            raise InputError(f'no path was given; expected {self.expects}')
        return paths

    def members(self, paths: Iterable[str], scratch: Scratch) -> list[Member]:
        return [member for path in paths for member in list_members(path, scratch, self.archives, self.nested)]

    def plan(self, args: argparse.Namespace, scratch: Scratch) -> Plan:
        """Say what is to be done for the arguments of a command line."""
        paths = self.paths_of(args)
        out_dir = self.output(args, paths)
        return Plan(out_dir, self.tasks(self.members(paths, scratch), out_dir, self.rules_for(args)))

    def output(self, args: argparse.Namespace, paths: list[str]) -> str:
        """Return the folder to write to: the one given, the usual one, or that of the user's files."""
        return args.out_dir or self.home(paths)

    def home(self, paths: list[str]) -> str:
        """Return the folder that the user has given, or that of the archive."""
        return paths[0] if os.path.isdir(paths[0]) else os.path.dirname(paths[0]) or '.'

    def rules_for(self, args: argparse.Namespace) -> tuple[Rule, ...]:
        """Return the rules, which may depend on the arguments."""
        return self.rules

    def tasks(self, members: Iterable[Member], out_dir: str, rules: tuple[Rule, ...]) -> list[Task]:
        """Apply rules to what there is.

        Raises:
            InputError: two files would be written under one name.
        """
        tasks: dict[str, Task] = {}
        for member in members:
            matches = ((rule, rule.match(member.name)) for rule in rules)
            rule, match = next(((rule, match) for rule, match in matches if match), (None, None))
            below = rule.target(match) if rule else None
            if below is None:
                continue
            task = rule.make(member, os.path.join(out_dir, below))
            if _is_in_place(task):
                continue
            earlier = tasks.setdefault(task.target, task)
            if earlier is not task:
                tasks[task.target] = _one_of(earlier, task)
        return list(tasks.values())


def _one_of(first: Task, second: Task) -> Task:
    """Return the one of two tasks for a target that reads a loose file; they may differ in nothing but the place."""
    one, other = first.source, second.source
    if one.size != other.size or os.path.basename(one.name) != os.path.basename(other.name):
        raise InputError(f'two files would be written to {first.target}: {one} ({one.size:,} bytes) and {other} '
                         f'({other.size:,} bytes); expected one: remove the one that does not belong there')
    return second if os.path.isdir(other.container) else first


def _is_in_place(task: Task) -> bool:
    """Whether a copy would go where the file is."""
    return task.convert is None and os.path.isdir(task.source.container) and os.path.realpath(
        str(task.source)) == os.path.realpath(task.target)
