"""Small notebooks as tests write them: a cell, a file's text, an output."""
import json


def code_cell(source="1", name="a", **more):
    return {"cell_type": "code", "id": name, "source": [source] if source else [], "metadata": {}, "outputs": [],
            "execution_count": None} | more


def saved_notebook(*cells, **metadata):
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)})


OUTPUT = [{"output_type": "stream", "name": "stdout", "text": ["seen\n"]}]
