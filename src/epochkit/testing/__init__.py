"""contracts that authors of plug-ins inherit

- `source_contract`: Write one class for your data and inherit every test that the kit's own sources pass.
- `framework_contract`: Write one class for your framework and inherit every test that the kit's own frameworks pass.
- `examples`: A model bundle in two lines, and a small table with every kind of column: what the tests of a plug-in can stand on.
"""
