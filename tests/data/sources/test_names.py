"""What reports call a source."""

from smallvision.data.sources.names import name_of


def test_reports_name_no_folder_of_this_machine():
    assert name_of("drawn") == "drawn"
    assert name_of("/home/me/photos.zip") == "photos.zip"
    assert name_of("./drawn") == "./drawn"
    assert name_of("https://me:secret@host/a/photos.zip;sig=secret?token=secret") == "photos.zip"
    assert "secret" not in name_of("https://me:secret@host/?token=secret")
