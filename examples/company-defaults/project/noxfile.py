"""Sessions of widget."""

import acme_release

acme_release.register()
