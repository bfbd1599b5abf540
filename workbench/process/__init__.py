"""One child: how it is made, what runs in it, how the supervisor hears of it."""
