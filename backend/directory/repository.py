"""Every query and update of clinics and departments."""

from beanie import PydanticObjectId

from backend.directory.documents import Clinic


async def find_clinic(clinic_id: PydanticObjectId) -> Clinic | None:
    """Returns a clinic, active or not."""
    return await Clinic.get(clinic_id)
