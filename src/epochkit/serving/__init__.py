"""007: service, app, monitoring, deployment

- `server`: Start a server on this machine, wait until it is healthy, and stop it for sure.
- `schema`: What a row of raw inputs may look like, built from the model's own description of its columns.
- `service`: What every door to the model shares: check a row, score it, log it, count it.
- `api`: The model behind HTTP: strict about what comes in, silent about what it was sent, and never a 5xx for a bad request.
- `monitoring`: Has the world moved away from the data that the model was tested on? An answer that knows how much of it is chance.
- `components`: The app's cards, messages, tables and form, in the markup of Semantic UI and the kit's palette.
- `app`: What the Streamlit app needs beside its looks: the model and its reports, an uploaded table, names for people, and a safe start.
- `manifests`: Everything that takes a validated model out of the notebook: images, compose, Kubernetes, Domino, a workflow, smoke test, way back, model card.
- `deployment`: A model goes to Production when it has been seen to work: as a service, in the app, and under an alarm that rings.
- `gate`: The nine checks that a deployment has to pass, each computed from what was stored.
- `dashboard`: The app: eight pages of one model, for those who use it, those who answer for it, and those who watch it.
- `trace`: From a prediction back to its model, the decisions, the training data and the source file, and forward to what became of it.
- `ml_bom`: What a model is made of, as a CycloneDX bill: the model with its card, the tables behind it with their hashes, every library with version and hashes.
- `scored_rows`: What `epoch score` answered, kept like other served rows: found by id, watched by monitoring, traced to its source.
- `containers`: What a team chooses, what an image needs, and the compose file: a proxy before the API and the app, a watch, a store, a tracking server.
- `cluster`: The API, its copies and its door, the app, the watch as a job by the clock, and an overlay for each place: Kubernetes from the same facts.
- `shadow`: The new version beside the one whose place it would take: both answer the same raw rows before anything is promoted.
"""
