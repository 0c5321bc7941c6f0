"""From a business brief to a deployed, monitored model and a retrospective, in eight notebook epochs

- `core`: the ground: errors, settings, files, the brief, the project and its rooms, the memory guard
- `record`: what happened: the ledger, its views, anchors, signatures, checkpoints
- `report`: one look for pages, figures and panels
- `lifecycle`: an epoch's run, its state and gate, what it depends on, tracking and verification
- `review`: a person decides: the click, the card, the panel, the terminal
- `sources`: tables from files, databases, the web and packages
- `cleaning`: values as they are meant: parsing, steps, profile, personal data
- `synthetic`: tables with a known truth
- `planning`: 001: from the brief to plan, criteria, estimates and risks
- `wrangling`: 002: quality, contract, loading
- `exploration`: 003: measurements, findings, figures
- `leaks`: 003: columns that know the answer
- `features`: 004: from clean columns to features
- `models`: 005: frameworks, candidates, tuning, the bundle
- `validation`: 006: the sealed rows and the criteria
- `serving`: 007: service, app, monitoring, deployment
- `retrospective`: 008: plan and outcome, and the playbook
- `runner`: executes the epochs
- `lab`: the control room in JupyterLab
- `agents`: what an agent may read and run: context, explanations, the MCP server
- `project`: tools for a project: export, tests, checks
- `testing`: contracts that authors of plug-ins inherit
"""

__version__ = "0.3.0"
