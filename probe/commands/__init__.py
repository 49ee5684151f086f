"""The commands, in the order in which a user meets them. Each module has `add_arguments(parser)` and `run(args)`.

`run` returns True where the candidate diverges. Its docstring is the command's help. Nothing heavy is imported before
a command runs.
"""

from probe.commands import demo, diff, dump, env, import_, map, plot, report, selftest, show, tui

COMMANDS = (demo, dump, import_, diff, tui, plot, report, map, selftest, show, env)
