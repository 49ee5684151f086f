"""The Textual app that browses a Report, or one dump: what is shown comes from probe.report and probe.dump, never from
argv.

Data first (tree, figures, heat), then widgets, a file each, then the app; a file of `tabs/` is one function that says
what its tab shows of a tap.
"""
