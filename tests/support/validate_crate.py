"""roc-validator without the network: python validate_crate.py CRATE prints what is wrong, a line each, and exits 1.

It runs under the Python that has roc-validator, which may be another than the project's.  The validator asks the web
what the words of a crate mean; here that is answered, for the two contexts that the crates of this project name, from
the words that they use, which stand below as those contexts have them.
"""

import json
import sys

_SCHEMA, _RUN = "http://schema.org/", "https://w3id.org/ro/terms/workflow-run#"
_WORDS = """CreativeWork Dataset CreateAction SoftwareApplication PropertyValue Person about hasPart mentions name
    description datePublished license version startTime endTime actionStatus instrument agent object result
    softwareVersion value contentSize dateModified encodingFormat author"""
CRATE = {**{word: _SCHEMA + word for word in _WORDS.split()}, "File": f"{_SCHEMA}MediaObject"}
CRATE["conformsTo"] = "http://purl.org/dc/terms/conformsTo"
CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": CRATE,
    "https://w3id.org/ro/terms/workflow-run/context": {"sha256": f"{_RUN}sha256"},
}


class Answer:
    """A response of the web, as far as the validator looks at it."""

    status_code, headers = 200, {"Content-Type": "application/ld+json"}

    def __init__(self, url):
        self.text = json.dumps({"@context": CONTEXTS[url]})

    def json(self):
        return json.loads(self.text)


def validate(crate):
    import rdflib.plugins.shared.jsonld.context as reading
    from rocrate_validator import models, services
    from rocrate_validator.utils.http import HttpRequester

    asked = reading.source_to_json

    def read(source, *more, **options):
        return (Answer(source).json(), None) if source in CONTEXTS else asked(source, *more, **options)

    reading.source_to_json = read
    HttpRequester.get = lambda self, url, **options: Answer(url)
    settings = services.ValidationSettings(
        rocrate_uri=crate,
        profile_identifier="process-run-crate-0.5",
        requirement_severity=models.Severity.REQUIRED,
    )
    return [f"{issue.check.identifier} {issue.message}" for issue in services.validate(settings).get_issues()]


if __name__ == "__main__":
    found = validate(sys.argv[1])
    print("\n".join(found))
    sys.exit(bool(found))
