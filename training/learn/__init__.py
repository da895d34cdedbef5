"""What `train`, `live` and `stage3` share: batches, losses, a run that is begun, saved and gone on with."""
