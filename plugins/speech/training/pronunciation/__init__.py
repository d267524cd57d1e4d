"""The pipeline from the SpeechOcean762 corpus to the head that scores pronunciation."""
