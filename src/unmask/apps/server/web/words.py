"""Every English sentence of the pages, by page; what depends on a result is `report.text`.

A page's template gets its part as `w`, its scripts get it as JSON. `{name}` is filled in by
`str.format` there and by `fill` of static/words.js here.
"""

from __future__ import annotations

from typing import Any

COMMON: dict[str, Any] = {
    "brand": "unmask",
    "skip": "Skip to the content",
    "nav": "Pages",
    "pages": {"analyse": "Analyse", "annotate": "Annotate", "model": "Model"},
    "docs": "HTTP interface",
    "logout": "Log out",
    "footer": "{tool}. An indication, not proof; nothing leaves this service.",
    "noscript": "This page needs JavaScript for what changes while you look at it. "
    "The HTTP interface and the command line do the same without a browser.",
    "states": {
        "queued": "Waiting",
        "running": "Running",
        "done": "Done",
        "failed": "Failed",
        "cancelled": "Cancelled",
        "expired": "Deleted after its time",
    },
    "js": {
        "offline": "The service cannot be reached. Trying again.",
        "refused": "The service refused: {detail}",
        "unknown": "The service answered {status} without a reason. Try again.",
        "loggedout": "You are no longer logged in. Open the login page, then come back.",
    },
}

ANALYSE: dict[str, Any] = {
    "title": "Analyse",
    "heading": "Look for manipulated faces",
    "lead": "Drop in pictures or clips. You get a finding with its error rate, and what it rests "
    "on.",
    "limits": "What this can take, and what it cannot tell",
    "formats": "Pictures (JPEG, PNG, WebP, HEIC, AVIF, GIF) and clips (MP4, MOV, MKV, WebM, AVI). "
    "The content decides, not the name.",
    "size": "At most {size} a file, {pixels} megapixels a frame, {hours} h a clip; of a clip "
    "{frames} frames are looked at.",
    "kept": "Files and results are deleted after {time}, or when you delete them.",
    "cannot": "What a finding cannot show",
    "drop": "Choose pictures or clips",
    "drop_hint": "or drop them here. Several files become a batch.",
    "start": "Analyse",
    "chosen": "Chosen files",
    "frames": "Frames of a clip to look at",
    "frames_hint": "More take longer. {default} unless you say otherwise.",
    "recent": "Recent analyses",
    "recent_none": "Nothing was analysed yet.",
    "columns": {"name": "File", "state": "State", "finding": "Finding", "created": "Submitted"},
    "js": {
        "none": "Choose at least one file.",
        "chosen_one": "1 file, {size}",
        "chosen_many": "{n} files, {size} together; they become a batch",
        "remove": "Leave out {name}",
        "too_large": "{name} has {size}; the limit is {limit}. It was left out.",
        "empty": "{name} has no bytes. It was left out.",
        "uploading": "Uploading {name}: {percent}%",
        "uploaded": "{name} is uploaded.",
        "waiting": "The service is busy. {name} is tried again in {seconds} s.",
        "failed": "{name} was not taken: {detail}",
        "partly": "{taken} of {total} files were taken. The others are listed with their reason.",
        "open_batch": "Open the batch",
        "lost": "The connection broke while {name} was uploaded. It is tried again in {seconds} s.",
    },
}

JOB: dict[str, Any] = {
    "title": "Analysis",
    "stages": {
        "queued": "Waiting for its turn",
        "decoding": "Reading pictures from the file",
        "scoring": "Finding and judging faces",
        "finished": "Finished",
    },
    "progress": "Progress of the analysis",
    "cancel": "Cancel",
    "again": "Analyse another file",
    "reload": "You can close this page and come back: the work goes on.",
    "steps": "Steps",
    "batch": "Back to the batch",
    "ended": {
        "failed": "The analysis failed, and there is no result. {message}",
        "cancelled": "The analysis was cancelled; there is no result.",
        "expired": "The file and its result were deleted after the time they are kept. "
        "Upload the file again to have it analysed.",
    },
    "js": {
        "ahead_0": "Next in the queue.",
        "ahead_1": "1 analysis is before this one.",
        "ahead_n": "{n} analyses are before this one.",
        "noworker": "No worker runs: nothing is analysed until one is started. The file is kept.",
        "percent": "{percent}%",
        "cancelling": "Cancelling.",
        "attempt": "A worker was lost; this is attempt {n}.",
    },
}

RESULT: dict[str, Any] = {
    "title": "Result",
    "batch": "Back to the batch",
    "cannot": "What this cannot show",
    "unscored": "Why it was not scored, and what to do",
    "know": "What to know about this score",
    "picture": "Picture",
    "clip": "Clip",
    "picture_alt": "The picture as it was uploaded",
    "boxes": "Show the boxes",
    "boxes_note": "A solid box marks a face in a frame that was scored, with its number and score. "
    "A dashed box lies between two such frames and is only drawn in between.",
    "boxes_note_still": "A box marks each face that was scored, with its number and its score.",
    "timeline": "Timeline",
    "timeline_label": "Timeline: choose a scored frame",
    "timeline_help": "Click a mark, or focus the timeline: arrow left and right go to the previous "
    "and next scored frame, up and down to another face, Home and End to the first and last, Enter "
    "takes the clip there.",
    "timeline_caption": "Score of each face over time, 0 (like real faces) to 1 (like manipulated "
    "faces), with the two thresholds. Single frames vary; the thresholds apply to the score of the "
    "whole clip.",
    "timeline_more": "{n} more with lower scores in the table only.",
    "table": "The timeline as a table",
    "seek": "Go there",
    "faces": "Faces",
    "faces_caption": "Every face that was scored",
    "saw": "What the model saw: heatmap and frequency view",
    "heat": "Heatmap strength",
    "crop": "The crop that was scored.",
    "crop_alt": "The face as it was cut out and scored",
    "crop_under": "The same crop under the heatmap",
    "heat_caption": "Heatmap: what the score depends on in this crop.",
    "residual": "Residual.",
    "residual_alt": "The high-frequency residual of the crop in grey",
    "no_reference": "No reference energies of real faces are known for this model.",
    "evidence_none": "There are no pictures of this result.",
    "record": "Where this comes from, and how to repeat it",
    "repeat": "Repeat and verify",
    "repeat_note": "Run it where the file with the SHA-256 above lies, under the name it was "
    "uploaded with; result.json is the download above.",
    "recorded": "The result as recorded (JSON)",
    "take": "Take it with you",
    "report": "Report (HTML)",
    "json": "Result (JSON)",
    "delete": "Delete file and result",
    "delete_note": "Both are deleted by themselves at {time}.",
    "again": "Analyse another file",
    "js": {
        "making": "Heatmap and frequency view are being made.",
        "ready": "Heatmap and frequency view are ready.",
        "failed": "Heatmap and frequency view could not be made: {detail}",
        "face": "Face {face}: {score}",
        "at": "Face {face}, {time}, frame {index}: score {score}, quality {quality}",
        "unplayable": "This browser cannot play this kind of clip. Timeline and table work all the "
        "same; the pictures below are what was scored.",
        "unshown": "This browser cannot show this kind of picture; the crop below is what was "
        "scored.",
        "delete_sure": "Delete the file and its result now? This cannot be undone.",
        "report_wait": "The report is being made.",
        "report_ready": "The report is ready.",
        "heat_value": "{percent}%",
    },
}

BATCH: dict[str, Any] = {
    "title": "Batch",
    "heading": "Batch of {n}",
    "progress": "Analyses that ended",
    "caption": "Every file of the batch",
    "filter": "Show",
    "filter_all": "all",
    "search": "Name contains",
    "columns": {
        "number": "No.",
        "name": "File",
        "state": "Finding or state",
        "score": "Score",
        "remark": "Remark",
    },
    "download": "Results (JSON lines)",
    "delete": "Delete the batch",
    "again": "Analyse more files",
    "js": {
        "progress": "{ended} of {total} ended",
        "shown": "{n} of {total} files shown",
        "missing": "The download holds the finished ones; {n} are missing so far.",
        "delete_sure": "Delete all files and results of this batch now? This cannot be undone.",
        "complete": "All {total} ended.",
    },
}

MODEL: dict[str, Any] = {
    "title": "Model",
    "facts": "What it is",
    "limits": "Known failures",
    "limits_none": "The card names none, which does not mean that there are none.",
    "decision": "Thresholds and error rate",
    "no_decision": "The card has no thresholds, so nothing can be judged with this model.",
    "curve": "From score to probability",
    "curve_label": "Calibrated probability by score; the same numbers are in the table below",
    "curve_caption": "The probability that a face is manipulated, at equal priors, for each score "
    "of the model, as it was fitted on: {domain}. It holds there only.",
    "curve_x": "Score of the model",
    "curve_table": "The curve as a table",
    "error": "On {n} faces of the {split} split the calibrated probability is off by {ece} on "
    "average (expected calibration error); its Brier score is {brier} (0 is perfect, 0.25 is a "
    "coin).",
    "ranking": "How well it ranks, on the {split} split",
    "ranking_note": "AUC with its 95% interval, and the share of fakes found when 1% of the reals "
    "beside them are flagged. “Left out” is a model trained in the same way without that family: "
    "how this model would meet a generator like it for the first time.",
    "found": "Found",
    "reals": "Real faces that are flagged, on the {split} split",
    "reals_note": "At the card's own threshold, not at that of this service's calibration.",
    "trained_on": "What it was trained and measured on",
    "columns": {
        "family": "Fakes",
        "trained": "AUC, trained on",
        "left_out": "AUC, left out",
        "n": "Reals / fakes",
        "condition": "Condition or source",
        "flagged": "Flagged",
        "share": "Share (95% CI)",
        "items": "Items",
        "count": "Pictures",
        "score": "Score",
        "probability": "Probability",
    },
    "command": "Measured with",
    "card": "The card as it stands (JSON)",
}

LOGIN: dict[str, Any] = {
    "title": "Log in",
    "heading": "Log in with a token",
    "lead": "This service asks for a token. Whoever runs it makes one with "
    "“unmask tokens create NAME”.",
    "token": "Token",
    "submit": "Log in",
    "js": {"wrong": "That token was not taken. {detail}"},
    "kept": "The token is not kept in the page; a cookie of this browser stands for it until you "
    "log out.",
}

MISSING: dict[str, Any] = {
    "title": "Not found",
    "lead": "There is nothing here: it was deleted, never was, or belongs to somebody else.",
    "back": "Analyse a file",
}

FORBIDDEN: dict[str, Any] = {
    "title": "Not allowed",
    "lead": "Your token does not allow this: it lacks the scope “{scope}”. Ask whoever runs the "
    "service for one that has it, then log out and in again.",
    "back": "Log in with another token",
}

ANNOTATE: dict[str, Any] = {
    "title": "Annotate",
    "off": "There is no annotation project. Make one with “unmask annotate select INDEX --out "
    "STORE”, then start the service with “unmask serve --annotations STORE”.",
    "heading": "Paint what was manipulated",
    "lead": "Mark every pixel that a manipulation changed. Nothing is overwritten: earlier answers "
    "stay in the project.",
    "who": "Your name",
    "who_hint": "Stands beside your answers; kept in this browser.",
    "queue": "Queue",
    "rule": "Selected by",
    "rule_all": "all rules",
    "only_open": "Only open ones",
    "progress": "Answered of the budget",
    "tools": "Tools",
    "tool": {"brush": "Brush", "eraser": "Eraser", "polygon": "Polygon", "pan": "Move"},
    "size": "Size",
    "opacity": "Mask strength",
    "undo": "Undo",
    "redo": "Redo",
    "wipe": "Clear",
    "zoom_in": "Zoom in",
    "zoom_out": "Zoom out",
    "fit": "Fit",
    "map": "Show the model's map under the mask",
    "map_hint": "Off at first, so that it does not lead your hand. It shows what the model looks "
    "at, which may be wrong.",
    "canvas": "The picture to paint on",
    "accept": "Accept mask",
    "no_forgery": "No forgery seen",
    "skip": "Skip",
    "note": "Note",
    "note_hint": "Why it was skipped, or anything else.",
    "previous": "Previous",
    "next": "Next",
    "files": "Mask files",
    "read": "Read a mask (PNG or COCO RLE)",
    "png": "Save as PNG",
    "rle": "Save as COCO RLE",
    "coco": "All masks as one COCO file",
    "keys_title": "Keys",
    "keys_note": "They work while the picture has the focus.",
    "keymap": [
        ["Arrow keys", "move the cross-hair (Shift: ten pixels)"],
        ["Space", "paint at the cross-hair; hold it and move to paint a line"],
        ["B, E, P, H", "brush, eraser, polygon, move"],
        ["[ and ]", "smaller and larger"],
        ["Enter", "polygon: set a point; Backspace takes the last one back"],
        ["C", "close the polygon"],
        ["Escape", "drop the polygon"],
        ["Z, Y", "undo, redo"],
        ["+, -, 0", "zoom in, out, fit"],
        ["Ctrl with arrow keys", "move the picture"],
        ["M", "the model's map on or off"],
        ["A, N, S", "accept, no forgery seen, skip"],
        ["J, K", "next, previous picture"],
    ],
    "merge": "Somebody else answered first",
    "merge_mine": "Yours",
    "merge_theirs": "Theirs",
    "merge_both": "Both: stripes are only yours, dots only theirs, full where both agree",
    "take_mine": "Take mine",
    "take_theirs": "Keep theirs",
    "take_union": "Take the union",
    "merge_later": "Not now",
    "js": {
        "state_open": "open",
        "state_mask": "mask",
        "state_no_forgery": "no forgery",
        "state_skipped": "skipped",
        "answered": "{n} of {total} answered",
        "item": "{rank}. {picture}: {state}",
        "by": "{state}, by {annotator}",
        "loading": "Loading {picture}.",
        "loaded": "{picture}, {width} × {height} pixels: {state}.",
        "real": "The data set calls this picture real, so it takes no mask.",
        "draft": "Draft kept in this browser only, at {time}. Accept it to store it.",
        "draft_back": "Your draft from {time} is back; it is not stored yet.",
        "draft_none": "No draft: what you see is what is stored.",
        "draft_old": "There was a draft for revision {revision}, but {annotator} answered since. "
        "Accept to compare.",
        "draft_full": "This browser keeps no more drafts. Accept the mask to store it.",
        "saved": "Stored: {state}, revision {revision}.",
        "nobody": "Give your name first; it stands beside your answers.",
        "empty": "Nothing is marked. If the picture shows no forgery, say so; else skip it.",
        "unfinished": "A polygon is not closed yet: close it (C) or drop it (Escape).",
        "done": "Nothing is open any more. Thank you.",
        "none": "Nothing was selected yet: “unmask annotate select” fills the queue.",
        "area": "{percent}% of the picture is marked ({n} pixels).",
        "cursor": "Column {x}, row {y}, {state}",
        "marked": "marked",
        "unmarked": "not marked",
        "read": "{name} was read; accept it to store it.",
        "merge_text": "{annotator} answered at {time}: {state}. Choose what counts from now on.",
        "merge_theirs_none": "Theirs is no mask: {state}.",
        "merge_mine_none": "Yours is no mask: {state}.",
        "refused": "It was not stored: {detail}",
        "map_making": "The model is looking at the picture.",
        "map_ready": "The model's map is shown. Bright: the score depends on it most.",
        "map_none": "The model found no face, so there is no map.",
        "map_failed": "There is no map: {detail}",
        "poly": "{n} points; C closes the polygon.",
    },
}
