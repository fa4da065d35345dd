"""Routes of the admin API, `/admin/v1/…`, under the scope `admin`."""
