"""The names of 1.x: modules, functions, classes, methods, arguments and defaults that existing code relies on.

`data/public_names.json` lists them: for each module the names, how each is called (`call`, with literal defaults) and
its public methods; and for each registry the names that it builds.
"""
import ast
import inspect
import json
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import mmseg.registry

FACTS = json.loads((Path(__file__).parent / 'data' / 'public_names.json').read_text(encoding='utf-8'))
MODULES = FACTS['modules']

# Modules that are not written yet: the list only shrinks. One that is there is compared, on the list or not.
NOT_YET = ()
MISSING = {module for module in NOT_YET if find_spec(module) is None}
ABSENT = {name for module in MISSING for name in MODULES[module]}


@pytest.mark.parametrize('module', sorted(set(MODULES) - MISSING))
def test_module(module):
    found = import_module(module)
    problems = []
    for name, facts in MODULES[module].items():
        if name == '__all__':
            problems += [f'{missing} is not exported' for missing in facts
                         if missing not in ABSENT and not hasattr(found, missing)]
        elif not hasattr(found, name):
            problems.append(f'{name} is missing')
        else:
            problems += [f'{name}: {problem}' for problem in compare(getattr(found, name), facts)]
    assert problems == []


@pytest.mark.parametrize('registry', sorted(FACTS['registries']))
def test_registry(registry):
    ours = getattr(mmseg.registry, registry)
    known = set(ours.known_names())
    assert [name for name in FACTS['registries'][registry] if name not in known | ABSENT] == []


def compare(ours, facts):
    """Yield what a caller of 1.x would stumble over."""
    for method in facts.get('methods', ()):
        if inspect.getattr_static(ours, method, None) is None:
            yield f'method {method} is missing'
    if 'call' not in facts:
        return
    wanted = parameters(facts['call'])
    found = list(inspect.signature(ours).parameters.values())
    by_name = {parameter.name: parameter for parameter in found}
    for name, default in wanted.items():
        if name not in by_name:
            yield f'argument {name} is missing'
        elif not same_default(by_name[name].default, default):
            yield f'argument {name} has the default {by_name[name].default!r}, not {default!r}'
    common = [name for name in wanted if name in by_name]
    order = [parameter.name for parameter in found if parameter.name in wanted]
    if order != common:
        yield f'arguments come in the order {order}, not {common}'
    new = [parameter.name for parameter in found if parameter.name not in wanted
           and parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL,
                                                                               parameter.VAR_KEYWORD)]
    if new and '*' not in facts['call']:
        yield f'arguments {new} are required, which 1.x did not know'


def parameters(call):
    """`'a, b=1, **kwargs'` -> `{'a': empty, 'b': 1}`."""
    arguments = ast.parse(f'def call({call}): pass').body[0].args
    names = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    defaults = [*[None] * (len(arguments.args) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    return {name: inspect.Parameter.empty if default is None else literal(default)
            for name, default in zip(names, defaults)}


def literal(node):
    """The value of a default, or the last word of a name (`torch.nn.Linear` -> `'Linear'`)."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node).rpartition('.')[2]


def same_default(ours, wanted):
    if wanted == '…':  # a path of the machine that the facts were read on
        return ours is None
    if ours is None or isinstance(wanted, (dict, list)):
        # Where 1.x shared a mutable default between calls, `None` may stand for a fresh one.
        return wanted is None or (ours is None and isinstance(wanted, (dict, list))) or same_value(ours, wanted)
    return same_value(ours, wanted) or wanted in (getattr(ours, '__name__', None), repr(ours))


def same_value(ours, wanted):
    """Compare values; a tuple may stand for a list and any mapping for a dict, also inside of them."""
    if isinstance(wanted, dict):
        return isinstance(ours, Mapping) and dict(ours) == wanted
    if isinstance(wanted, (list, tuple)):
        return isinstance(ours, (list, tuple)) and len(ours) == len(wanted) and all(map(same_value, ours, wanted))
    return ours == wanted


@pytest.mark.parametrize(('ours', 'problem'), [
    (lambda a, b=1: a, None), (lambda a, b=1, c=2: a, None), (lambda a, b=2: a, 'default 2'),
    (lambda a: a, 'b is missing'), (lambda b=1, a=None: a, 'default'), (lambda a, c, b=1: a, "['c'] are required")])
def test_the_comparison_sees(ours, problem):
    problems = ' '.join(compare(ours, {'call': 'a, b=1'}))
    assert (problem in problems) if problem else problems == ''
