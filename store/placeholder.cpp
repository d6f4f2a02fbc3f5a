int placeholder_store; 
