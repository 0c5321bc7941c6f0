"""a person decides: the click, the card, the panel, the terminal

- `click_origin`: Tells a person's click from everything else that can call a button.
- `decisions`: A person decides, and the decision is bound to the hash of everything that was shown.
- `card`: Everything a person needs to decide at a gate, on one card.
- `panel`: The card of a gate, and below it the form with which a person decides.
- `terminal`: The panel's twin for a person without JupyterLab: it shows the same gate and asks the same questions.
"""
