"""What runs behind a panel: sessions in a thread of their own, without a widget."""
