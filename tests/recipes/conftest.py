import pytest


@pytest.fixture(scope="session")
def header_fields():
    """Reads a recipe header's ``Name:   value`` fields; a value may run over several lines."""

    def read(recipe):
        fields, name = {}, None
        for line in recipe.path.read_text("utf-8").splitlines():
            if not line.startswith("#"):
                break
            label, colon, blank = line[1:14].partition(":")
            if colon and not blank.strip():
                name = label.strip()
                fields[name] = line[14:].strip()
            elif name is not None:
                fields[name] += "\n" + line[1:].strip()
        return fields

    return read
