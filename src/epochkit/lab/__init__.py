"""the control room in JupyterLab

- `board`: Where each of the eight epochs stands and why, what comes next, and the way to every notebook and report, as one HTML table.
- `control_room`: The board, kept up to date, with buttons that run an epoch, stop it, and open the gate that waits for a person.
- `run_order`: A cell that needs a name from a cell above that has not run says "run the cells above first", and which one.
- `start`: The command that starts JupyterLab with the control room in front and the eight epochs beside it.
"""
