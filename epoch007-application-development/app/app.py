"""The app of this project, as `streamlit run` takes it: the kit's dashboard in the words of the rooms beside it."""

from epochkit.serving.dashboard import show_dashboard

show_dashboard("Predictions")
