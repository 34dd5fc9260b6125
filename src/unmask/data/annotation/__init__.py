"""Masks painted on pictures: kept with who, when and of which bytes; handed out and taken in."""
