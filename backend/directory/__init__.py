"""What the clinic consists of: clinics, departments, the profiles of doctors and patients."""
