"""``qlops train``: what a person does about trainings."""
