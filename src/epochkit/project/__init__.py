"""tools for a project: export, tests, checks

- `nbtests`: `#| test` puts a notebook's test cell into `src/<project>/tests/`, where pytest finds it.
- `module_lists`: The README of each package, the docstrings of packages and `llms.txt`, written from the modules themselves.
- `export`: `nbdev_export`: notebooks become packages, all of them or none, and the tree can be compared without being touched.
- `checks`: Settings, exported files and notebooks agree with each other, or `make test` says where they drifted.
- `merge`: Three versions of a text or a notebook become one, and no cell of the user is lost.
- `upgrade`: `epoch upgrade`: a project takes over what a new release of the kit gives, and keeps everything that is its own.
"""
