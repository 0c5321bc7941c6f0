"""001: from the brief to plan, criteria, estimates and risks

- `column_roles`: What each column is, and why: identifier, constant, number, category, date, text, or the target.
- `data_profile`: What is seen in the first rows of a source before anything is done to it: the facts that plan and risks stand on.
- `plan`: Brief and data become a plan and measurable criteria: the record every later number is read from.
- `splits`: Which rows train, validate and test is a pure function of plan and data: the same call gives the same answer everywhere.
- `estimates`: Time, memory, compute and cost of each epoch with a range, from this table's size, timings of the kit, and what earlier projects took.
- `risks`: What could go wrong, scored from what was seen in the data, with duties by law, assumptions made, and questions for a person.
- `figures`: When, how much, what could go wrong, and what the table holds: four pictures of the plan, each with its one claim.
- `summary`: The plan in business words, for somebody who will not open a notebook: goal, cost of errors, effort, risks, law, and the decision asked.
- `phrases`: What words of a usage sentence mean: one small rule per phrase, each saying which words it read and what it took them for.
- `wishes`: The other half of the phrases: what good means, what it may take, which step is asked for, and of which domain a sentence speaks.
- `sentence`: `epoch plan "Plan a credit risk project …"`: a sentence becomes a brief, offline, with what was understood, assumed and left over.
- `form_fields`: What stands behind the form of the brief: a value as text and back, and a look at the data that the brief names.
- `field_words`: What each key of the brief is called in plain words, what it means, and an example: the labels and hints of the form.
- `file_picker`: A small list of folders and readable files in the notebook: one click opens a folder or takes a file.
- `form_widgets`: One field per key of the brief, with its words, its hint and its error beside it, and the table of columns with roles and ticks.
- `form`: The brief as a form in a notebook: what must be said first, the data with its inferred roles, and a file that is only written when it is right.
- `requirements`: `requirements.md`: what was asked, in the brief's own words; what was assumed, with the key that settles it; what is open, with an owner and, where there is one, the key that settles it.
- `table_rows`: Which rows of a table are meant, named and not read: they come a group at a time, in order, or as a sample that fits into memory.
- `units`: Rows that belong together are one draw: what a mean over rows is worth, by the units that they are made of.
"""
