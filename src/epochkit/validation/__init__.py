"""006: the sealed rows and the criteria

- `report`: The sealed test rows are opened once, and the model is measured the way it will be used.
- `gate`: The model is held against the criteria that were written before it existed.
"""
