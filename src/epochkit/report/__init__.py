"""one look for pages, figures and panels

- `theme`: One look for the panel, the control room, the reports and the app: the same colours, chips, bars and tables everywhere.
- `figures`: Figures whose title is their claim, saved twice, and one page design for every report.
- `pages`: An executed notebook becomes one HTML file that anyone can open, offline, years later.
"""
