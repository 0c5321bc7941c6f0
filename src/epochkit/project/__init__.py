"""tools for a project: export, tests, checks

- `nbtests`: `#| test` puts a notebook's test cell into `src/<project>/tests/`, where pytest finds it.
- `module_lists`: The README of each package, the docstrings of packages and `llms.txt`, written from the modules themselves.
- `export`: `nbdev_export`: notebooks become packages, all of them or none, and the tree can be compared without being touched.
- `checks`: Settings, exported files and notebooks agree with each other, or `make test` says where they drifted.
- `wheel`: The installed kit as one file that pip installs, so that a project can carry the kit it was made with.
- `names`: The name of a project, checked before it becomes a package, a data folder, experiments, a registered model and a service.
- `template`: Every file that the kit gives to a project, as it is for this project: stories, rooms, make targets, settings, agents.
- `merge`: Three versions of a text or a notebook become one, and no cell of the user is lost.
- `repository`: What git sees of a project: notebooks without outputs, hooks that refuse what should not be kept, a first commit.
- `upgrade`: `epoch upgrade`: a project takes over what a new release of the kit gives, and keeps everything that is its own.
- `new`: `epoch new`: from a table to a complete project with a filled brief, in one folder and one commit.
- `dialogue`: What `epoch new` asks at a terminal: only what is missing, each with an answer that Enter takes.
- `doctor`: What is missing on this machine, and how to get it.
- `documentation`: A stable code, what is looked at and what to do, for every gate check and every error of the kit.
- `site`: Guides, check pages, the API and the stories, gathered into one folder from which a static site is built.
- `shell_text`: A command line as bash reads it: its simple commands, one after the other, with their words as far as they are known.
- `protected`: What an agent may not write, read or decide, in one place; and whether a piece of Python does any of it.
- `guard`: What an agent is about to do is held against what it may do, before it is done; a refusal is one line and exit code 2.
- `doctor_domino`: What the platform says, in words, and what in this project would not last there.
"""
