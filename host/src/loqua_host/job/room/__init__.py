"""The LiveKit room as the job sees it: participants, chat, connection, floor and handoffs."""
