"""The ``report`` job: what is known about a map or a training, on one page."""

from __future__ import annotations

from collections.abc import Mapping

from rasterio.warp import transform as to_crs

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, WsssGeoError
from wsss_geo.jobs import ReportJob, ReportResult
from wsss_geo.nn.calibration import calibration_error
from wsss_geo.outputs import check_output, replacing
from wsss_geo.progress import Progress
from wsss_geo.raster.files import GDAL_ERRORS
from wsss_geo.raster.info import GeoGrid, describe
from wsss_geo.raster.mask_classes import classes_of_values, read_mask_classes
from wsss_geo.record import file_hash
from wsss_geo.reporting import figures, sections
from wsss_geo.reporting.markup import Markup
from wsss_geo.reporting.page import page
from wsss_geo.reporting.pictures import ImagePictures, confidence_picture, mask_picture, shrunk_picture
from wsss_geo.reporting.subject import Subject, find_subject
from wsss_geo.reporting.survey import Scenes, Survey, least_certain, scene_classes, survey

_PREVIEW = 1100


def run(job: ReportJob, report: Progress) -> ReportResult:
    """Write the page. The mask is read once, strip by strip, so its size does not matter.

    Raises InputError for what is neither mask, run folder nor model, or does not fit together; ModelError,
    EnvironmentFault.
    """
    out = check_output(job.out)
    subject = find_subject(job, report)
    headline: list[tuple[str, str]] = []
    parts: list[Markup] = []
    found, notes = None, 0
    if subject.mask is not None:
        found, notes = _add_map(job, subject, subject.mask, headline, parts, report)
    error = _add_model(subject, found, headline, parts)
    subtitle = str(subject.record.get("finished") or "")
    text = page(job.title or subject.name, f"Finished {subtitle}" if subtitle else "", headline, parts)
    with replacing(out) as part:
        part.write_text(text, encoding="utf-8")
    sure = None if found is None or found.scenes is None else round(found.confidence, 4)
    return ReportResult(str(out), out.stat().st_size, sure, error, notes)


def _add_map(
    job: ReportJob,
    subject: Subject,
    mask: str,
    headline: list[tuple[str, str]],
    parts: list[Markup],
    report: Progress,
) -> tuple[Survey, int]:
    info = describe(mask)
    side = job.scene or subject.scene_side(info.gsd)
    found = survey(mask, subject.confidence, side, report)
    by_class = found.by_class()
    if not by_class.any():
        raise InputError(mask, "has no pixel of any class", "give another mask")
    scheme = _scheme(mask, found)
    image = _image(subject, (info.height, info.width), report)
    pictures = {} if image is None else {"Image": image.whole()}
    pictures["Map"] = mask_picture(mask, scheme)
    if subject.confidence is not None:
        pictures["Confidence"] = confidence_picture(subject.confidence)
    headline.append(("area of the map", figures.area(float(by_class.sum()), found.metric)))
    first = scheme.classes[max(range(len(scheme)), key=lambda i: by_class[scheme.classes[i].id])]
    headline.append((f"is {first.name}, the largest class", figures.percent(by_class[first.id] / by_class.sum())))
    parts.append(sections.overview(pictures, scheme, by_class, subject.confidence is not None))
    calibration = None if subject.card is None else subject.card.calibration
    expected = subject.expected_areas(scheme, by_class.sum())
    parts.append(sections.areas(found, scheme, expected, calibration is not None and subject.untempered is None))
    if found.scenes is None:
        return found, 0
    headline.append(("mean confidence", f"{found.confidence:.3f}"))
    parts.append(sections.confidence(found, calibration, _why_not(subject), _but(subject)))
    notes = _notes(mask, found, found.scenes, scheme, image, job.scenes)
    if notes:
        name = None if info.crs is None else info.crs.to_string() if info.crs.to_epsg() else "the CRS of the map"
        parts.append(sections.scenes(notes, side, info.gsd and side * info.gsd, name))
    return found, len(notes)


def _add_model(
    subject: Subject, found: Survey | None, headline: list[tuple[str, str]], parts: list[Markup]
) -> float | None:
    """Training, model and provenance; returns the expected calibration error."""
    error = None
    if subject.card is not None and subject.card.calibration is not None:
        error = calibration_error(subject.card.calibration.after)
        headline.append(("calibration error, by tags", figures.percent(error)))
    if subject.card is not None and subject.model is not None:
        if found is None:
            scores: Mapping[str, float] = subject.card.scores
            headline += [(name.replace("_", " "), f"{value:.3f}") for name, value in scores.items()]
            body = sections.reliability(subject.card.calibration, _why_not(subject))
            parts.append(sections.section("Confidence", body))
        metrics = subject.metrics()
        if metrics:
            parts.append(sections.training(metrics, _preview(subject)))
        parts.append(sections.model(subject.card, subject.model.name, file_hash(subject.model)))
    if subject.record:
        parts.append(sections.provenance(subject.record))
    return None if error is None else round(error, 4)


def _scheme(mask: str, found: Survey) -> ClassScheme:
    """The classes of the mask; values without a name are called by their number."""
    values = [v for v in range(255) if found.by_class()[v] > 0]
    scheme = read_mask_classes(mask)
    missing = [v for v in values if scheme is None or v not in scheme.ids]
    if not missing and scheme is not None:
        return scheme
    plain = classes_of_values(mask, missing)
    if plain is None or scheme is None:
        return plain or ClassScheme.from_names(["0"], "none")
    names = set(scheme.names)
    return ClassScheme((*scheme.classes, *(c for c in plain.classes if c.name not in names)), scheme.background)


def _image(subject: Subject, shape: tuple[int, int], report: Progress) -> ImagePictures | None:
    """The image of the map if it is still there, and on the same grid."""
    if subject.image is None:
        return None
    try:
        found = ImagePictures(subject.image)
    except (WsssGeoError, *GDAL_ERRORS) as error:
        report.warn(f"{subject.image}: cannot be shown ({error})")
        return None
    return found if found.shape == shape else None


def _notes(
    mask: str, found: Survey, scenes: Scenes, scheme: ClassScheme, image: ImagePictures | None, most: int
) -> list[sections.SceneNote]:
    names = {c.id: c.name for c in scheme.classes}
    notes = []
    for row, col in least_certain(scenes, most):
        place = ((col + 0.5) * scenes.side, (row + 0.5) * scenes.side)
        x, y = found.grid.transform * place
        notes.append(
            sections.SceneNote(
                confidence=float(scenes.confidence[row, col]),
                x=x,
                y=y,
                lon_lat=_degrees(found.grid, x, y),
                classes=tuple(names.get(v, str(v)) for v in scene_classes(mask, scenes.side, row, col)),
                picture=None if image is None else image.scene(scenes.side, row, col),
            )
        )
    return notes


def _degrees(grid: GeoGrid, x: float, y: float) -> tuple[float, float] | None:
    if grid.crs is None:
        return None
    try:
        (lon,), (lat,) = to_crs(grid.crs, "EPSG:4326", [x], [y])
    except GDAL_ERRORS:
        return None
    return (lon, lat) if abs(lon) <= 360 and abs(lat) <= 90 else None


def _preview(subject: Subject) -> str | None:
    previews = subject.previews()
    if not previews:
        return None
    try:
        return shrunk_picture(str(previews[-1]), _PREVIEW)
    except (OSError, ValueError):
        return None


def _but(subject: Subject) -> str | None:
    if subject.untempered is None:
        return None
    return (
        f"This is about the model's own probabilities. The map was made with {subject.untempered}, "
        "to which the temperature does not apply: its confidence is as it comes."
    )


def _why_not(subject: Subject) -> str:
    if subject.card is None:
        return "The model of this map is not known, and so not how often it is right. Name it with --model."
    return (
        "This model is not calibrated: its confidence says what is surer than what, not how often it is right. "
        "Calibrate it from tagged scenes with wsss-geo calibrate, and predict again."
    )
