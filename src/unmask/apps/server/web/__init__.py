"""The web app: pages for people, and the HTTP interface of the Annotate page."""
