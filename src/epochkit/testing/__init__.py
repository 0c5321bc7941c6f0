"""contracts that authors of plug-ins inherit

- `source_contract`: Write one class for your data and inherit every test that the kit's own sources pass.
"""
